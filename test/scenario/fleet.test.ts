/** Limits over the whole fleet, kept by real workers, some of which are killed in the middle: order per key, concurrency, rates. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { appendFileSync } from "node:fs";

import { openQueue } from "../../src/store/queue/open.ts";
import { eventually } from "../harness/eventually.ts";
import { type ScaleProcess, startScale } from "../harness/process.ts";
import { queueDrivers } from "../harness/queues.ts";
import { freshNamespace } from "../harness/redis.ts";
import { freshTrace, readTrace } from "../harness/trace.ts";

setDefaultTimeout(120_000);

const entry = `${import.meta.dir}/fixtures/fleet.ts`;
const each = 24;
const keys = { ordered: 4, shared: 3, counted: 2, metered: 1 };
/** Time between a handler's own clock and the store's, on a busy machine. */
const toleranceMs = 300;

interface Moment {
  readonly event: string;
  readonly kind: string;
  readonly key: string;
  readonly index: number;
  readonly at: number;
  readonly id: string;
  readonly pid: number;
}

function momentsIn(file: string): readonly Moment[] {
  return readTrace(file).map(({ event: text, id, pid }) => {
    const [event = "", kind = "", key = "", index, at] = text.split("/");
    return { event, kind, key, index: Number(index), at: Number(at), id, pid };
  });
}

/** Most that ran at a time of those that `of` chooses. What a killed worker had begun has ended with it. */
function mostAtOnce(moments: readonly Moment[], of: (one: Moment) => boolean): number {
  const running = new Map<string, number>();
  let most = 0;
  for (const one of moments) {
    if (one.event === "killed") for (const [id, pid] of running) if (pid === one.pid) running.delete(id);
    if (!of(one)) continue;
    if (one.event === "begin") running.set(one.id, one.pid);
    else running.delete(one.id);
    most = Math.max(most, running.size);
  }
  return most;
}

/**
 * When attempts began that nobody had begun before: one that was killed is repeated without asking again, which a rate does not promise to
 * prevent.
 */
function beginsOf(kind: string, moments: readonly Moment[]): readonly number[] {
  const killed = new Set(moments.flatMap(({ event, pid }) => (event === "killed" ? [pid] : [])));
  const lastBy = new Map<string, number>();
  return moments.flatMap((one) => {
    if (one.kind !== kind || one.event !== "begin") return [];
    const isRepeated = killed.has(lastBy.get(one.id) ?? 0);
    lastBy.set(one.id, one.pid);
    return isRepeated ? [] : [one.at];
  });
}

for (const [driver, urlOf] of Object.entries(queueDrivers)) {
  test(`limits hold over two fleets on ${driver} while workers are killed, and nothing is lost`, async () => {
    const url = await urlOf();
    const namespace = freshNamespace();
    const queue = openQueue(url, { namespace });
    const file = freshTrace();
    const worker = () =>
      startScale(["--role=worker", entry, `--namespace=${namespace}`, `--redis-url=${url}`, "--job-lease=4s"]);
    const kill = async (victim: ScaleProcess) => {
      victim.kill("SIGKILL");
      await victim.exited;
      appendFileSync(file, `killed - 0 ${victim.pid}\n`);
      await victim.stop();
    };
    const ended = () => new Set(momentsIn(file).flatMap((one) => (one.event === "end" ? [one.id] : []))).size;
    const all = Object.values(keys).reduce((sum, count) => sum + count * each, 0);

    const victims = [await worker(), await worker()];
    await using third = await worker();
    await using fourth = await worker();
    const produce = { name: "produce", payload: JSON.stringify({ file, each }) };
    const [id] = await queue.enqueue("default", [produce]);
    // Killed, it would produce them twice.
    const isProduced = async () => (await queue.inspector.find(id!))?.place === "done";
    await eventually(isProduced, { timeout: 30_000, what: "all are enqueued" });
    for (const [index, victim] of victims.entries()) {
      const enough = (all * (index + 1)) / 8;
      const isBusy = () => momentsIn(file).some(({ pid }) => pid === victim.pid) || ended() === all;
      await eventually(() => ended() > enough && isBusy(), { timeout: 60_000, what: `${enough} have run` });
      await kill(victim);
    }
    await eventually(() => ended() === all, { timeout: 60_000, what: "all have run" });
    await eventually(async () => (await queue.stats("default")).running === 0, { what: "all outcomes are recorded" });

    const moments = momentsIn(file);
    for (const [kind, count] of Object.entries(keys)) {
      const done = moments.filter((one) => one.event === "end" && one.kind === kind);
      expect(new Set(done.map((one) => `${one.key} ${one.index}`)).size).toBe(count * each);
    }
    for (const key of "abcd") {
      const indices = moments.filter((one) => one.kind === "ordered" && one.key === key).map((one) => one.index);
      expect(indices).toEqual(indices.toSorted((a, b) => a - b));
    }
    expect(mostAtOnce(moments, ({ kind }) => kind === "counted")).toBeLessThanOrEqual(3);
    expect(mostAtOnce(moments, ({ kind }) => kind === "shared")).toBeLessThanOrEqual(4);
    for (const key of "abc") {
      expect(mostAtOnce(moments, (one) => one.kind === "shared" && one.key === key)).toBeLessThanOrEqual(2);
    }
    const begun = beginsOf("metered", moments);
    const early = begun
      .toSorted((a, b) => a - b)
      .filter((at, index, list) => at - (list[index - 8] ?? 0) < 2_000 - toleranceMs);
    expect(early).toEqual([]);
    expect([third.pid, fourth.pid].some((pid) => moments.some((one) => one.pid === pid))).toBe(true);
    expect(await queue.inspector.overview("default")).toMatchObject({ waiting: 0, parked: 0, running: 0, delayed: 0 });
    await queue.close();
  });
}
