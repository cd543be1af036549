/**
 * What a target costs that passes every check and fails every request, which no check can see: the health of lb/health/state.ts, the slow
 * start and the rotation, put together as the balancer does, by a clock that the test turns. Two targets, every option at its default.
 */
import { expect, test } from "bun:test";

import { roundRobin } from "../../lb/balance/round_robin.ts";
import { slowPart } from "../../lb/balance/slow_start.ts";
import { mayEject, slowStarts } from "../../lb/health/routing.ts";
import { ejectionLasts, type Health, type HealthEvent, isInTransition, next, unknown } from "../../lb/health/state.ts";

const seconds = 1_000;
const rules = { healthRise: 2, healthFall: 3, ejectionTime: 30 * seconds, ejectionTimeMax: 300 * seconds };
const settings = {
  healthInterval: 2 * seconds,
  closely: 0.5 * seconds,
  errors: 5,
  percentMax: 50,
  slowStart: 10 * seconds,
};

/** Both have been in for a minute when the one begins to fail. */
const begin = 60 * seconds;

const candidate = (name: string) => ({
  name,
  share: 1,
  current: 0,
  requestsInFlight: 0,
  requestsMax: Number.POSITIVE_INFINITY,
});

/** Requests that fail, of those that come evenly for so long. */
function failuresOf(perSecond: number, milliseconds: number): number {
  const good = next(unknown, { kind: "pass", begunAt: 0 }, rules, 0);
  let health: Health = good;
  let now = begin;
  let checkAt = begin + settings.healthInterval;
  const [well, failing] = [candidate("well"), candidate("failing")];
  let failures = 0;
  let inRow = 0;

  const note = (event: HealthEvent) => {
    const isOut = health.state === "ejected";
    health = next(health, event, rules, now);
    if (isOut && health.state === "healthy") inRow = 0;
  };
  /** What the control plane does until then: checks, and the end of an ejection. */
  const until = (time: number) => {
    for (;;) {
      const overAt =
        health.state === "ejected" ? health.since + ejectionLasts(health, rules) : Number.POSITIVE_INFINITY;
      if (Math.min(checkAt, overAt) > time) break;
      now = Math.min(checkAt, overAt);
      note(now === overAt ? { kind: "over" } : { kind: "pass", begunAt: now });
      if (now === checkAt) checkAt += isInTransition(health) ? settings.closely : settings.healthInterval;
    }
    now = time;
  };
  const request = () => {
    const [, slowSince] = slowStarts([good, health], settings.slowStart);
    failing.share = slowSince === 0 ? 1 : slowPart(now - slowSince!, settings.slowStart);
    if (roundRobin(health.state === "healthy" ? [well, failing] : [well], []) === well) return;
    failures++;
    if (++inRow < settings.errors || !mayEject([good, health], settings.percentMax)) return;
    note({ kind: "errors", reason: "in a row" });
  };
  for (let sent = 0; sent < (perSecond * milliseconds) / seconds; sent++) {
    until(begin + (sent * seconds) / perSecond);
    request();
  }
  return failures;
}

// Half of the requests went to it before. It costs less and less, since each return takes one more pass, and however many requests
// there are, five a time: only where they are so few that it is back before five have failed is its part of them large.
test.each<[perSecond: number, minutes: number, failures: number, percent: number]>([
  [1, 1, 21, 35],
  [10, 1, 50, 8.3],
  [100, 1, 65, 1.1],
  [1_000, 1, 65, 0.1],
  [1, 60, 480, 13.3],
  [10, 60, 565, 1.6],
  [100, 60, 585, 0.2],
])("at %d requests a second it fails, in %d min, %d of them: %d %%", (perSecond, minutes, failures, percent) => {
  const found = failuresOf(perSecond, minutes * 60 * seconds);
  expect([found, Math.round((1_000 * found) / (perSecond * minutes * 60)) / 10]).toEqual([failures, percent]);
});
