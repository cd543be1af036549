/**
 * The heartbeat's thread: renews the leases of the table it shares with the main thread, which a handler may block. It runs no jobs
 * and decides nothing about them, but for two: unstarted ones go back when the loop is blocked, and a hung process is ended.
 *
 * Time is counted in its own ticks: a machine that slept, or a process that was stopped, has not been blocked.
 */
import { closeLog, configureLog, log } from "../src/ops/log.ts";
import { messageOf } from "../src/std/errors.ts";
import { openQueue } from "../src/store/queue/open.ts";
import type { Keeper, Token } from "../src/store/queue/queue.ts";
import { type Notice, type Orders, tickMsOf } from "./heartbeat.ts";
import { LeaseTable, type Place } from "./lease_table.ts";
import { repeat } from "./repeat.ts";

declare const self: Worker;

const renewBatchMax = 500;
const entriesShownMax = 5;

self.addEventListener("message", ({ data }: MessageEvent<Orders>) => keep(data));

function keep(orders: Orders): void {
  configureLog(orders.log);
  const table = new LeaseTable(orders.table);
  const queue = openQueue(orders.url, { namespace: orders.namespace });
  const keepers = orders.queues.map((name) => queue.keeper(name, orders.owner));
  const never = new AbortController().signal;
  void repeat("renewing leases", never, async () => {
    await renew(table, orders, keepers);
    return orders.renewMs;
  });
  watch(table, orders, keepers);
  tell({ kind: "up" });
}

/** Renews everything that may still be renewed, and reports what went to others. */
async function renew(table: LeaseTable, orders: Orders, keepers: readonly Keeper[]): Promise<void> {
  const now = Date.now();
  const renewable = table.held().filter(({ deadlineMs }) => deadlineMs > now);
  for (const [queue, keeper] of keepers.entries()) {
    const held = renewable.filter((place) => place.queue === queue);
    for (let start = 0; start < held.length; start += renewBatchMax) {
      const lost = await keeper.renew(held.slice(start, start + renewBatchMax).map(tokenOf));
      if (lost.length > 0) tell({ kind: "lost", queue, tokens: lost });
    }
  }
}

/** Looks each tick whether the main loop still turns. */
function watch(table: LeaseTable, { blockedMs, renewMs, queues }: Orders, keepers: readonly Keeper[]): void {
  const tickMs = tickMsOf(renewMs);
  let pulses = table.pulses;
  let stillTicks = 0;
  let blocked = false;
  let ending = false;
  setInterval(() => {
    table.beat();
    stillTicks = table.pulses === pulses ? stillTicks + 1 : 0;
    pulses = table.pulses;
    if (stillTicks * tickMs < blockedMs) {
      blocked = false;
      return;
    }
    const held = table.held();
    const begun = held.filter((place) => place.begun);
    if (!blocked) {
      blocked = true;
      tell({ kind: "blocked" });
      const jobs = begun.slice(0, entriesShownMax).map((place) => `${queues[place.queue]}:${place.entry}`);
      log.warn({ jobs }, `a job has blocked the event loop for ${stillTicks * tickMs}ms; its lease is kept`);
    }
    void handBack(table, held, keepers);
    const overdue = begun.find(({ deadlineMs }) => deadlineMs <= Date.now());
    if (overdue && !ending) {
      ending = true;
      void end(`${queues[overdue.queue]}:${overdue.entry}`);
    }
  }, tickMs);
}

/** What has not begun need not wait for a loop that is blocked. */
async function handBack(table: LeaseTable, held: readonly Place[], keepers: readonly Keeper[]): Promise<void> {
  const waiting = held.filter((place) => !place.begun && table.handBack(place));
  if (waiting.length === 0) return;
  log.warn({ jobs: waiting.length }, "jobs that wait behind a blocked event loop are handed back");
  for (const [queue, keeper] of keepers.entries()) {
    const tokens = waiting.filter((place) => place.queue === queue).map(tokenOf);
    if (tokens.length === 0) continue;
    tell({ kind: "handedBack", queue, tokens });
    // Where the store does not answer, their leases run out.
    await keeper.handBack(tokens).catch((error: unknown) => log.warn({}, `handing back failed: ${messageOf(error)}`));
  }
}

/** A loop that is blocked beyond its job's time never comes back by itself; its lease has not been renewed since. */
async function end(job: string): Promise<void> {
  log.error(
    { job },
    "a job blocks the event loop beyond its timeout: the process is killed, and the job recovered elsewhere",
  );
  await closeLog();
  process.kill(process.pid, "SIGKILL");
}

function tokenOf({ entry, deliveries }: Place): Token {
  return { entry, deliveries };
}

function tell(notice: Notice): void {
  self.postMessage(notice);
}
