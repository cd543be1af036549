/** Schedules over a fleet: each tick once, whoever is paused, killed or late. On the real Redis and on a SQLite file. */
import { Database } from "bun:sqlite";
import { afterAll, afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { openQueue } from "../../src/store/queue/open.ts";
import type { Queue } from "../../src/store/queue/queue.ts";
import { eventually } from "../harness/eventually.ts";
import { metric } from "../harness/metrics.ts";
import { type ScaleProcess, startScale } from "../harness/process.ts";
import { freshNamespace, sharedRedis } from "../harness/redis.ts";

setDefaultTimeout(60_000);

const entry = `${import.meta.dir}/fixtures/schedules.ts`;
const directory = mkdtempSync(join(tmpdir(), "scale-schedule-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const drivers = {
  redis: async () => (await sharedRedis()).url,
  sqlite: () => Promise.resolve(`file:${directory}/queue.sqlite`),
};
const hourMs = 3_600_000;
let files = 0;

for (const [driver, urlOf] of Object.entries(drivers)) {
  describe(`schedules on ${driver}`, () => {
    let url = "";
    let namespace = "";
    let file = "";
    let queue: Queue;
    beforeEach(async () => {
      url = await urlOf();
      namespace = freshNamespace();
      file = join(directory, `trace-${++files}`);
      queue = openQueue(url, { namespace });
    });
    afterEach(() => queue.close());

    const worker = (): Promise<ScaleProcess> =>
      startScale(["--role=worker", entry, "--job-lease=1s", "--log-level=debug"], {
        env: { REDIS_URL: url, SCALE_NAMESPACE: namespace, TRACE_FILE: file },
      });
    const leaders = async (workers: readonly ScaleProcess[]) => {
      const leading = await Promise.all(workers.map((one) => metric(one.adminUrl, "worker_leader")));
      return workers.filter((_, index) => leading[index] === 1);
    };
    /** Ids of the jobs that ran, without their queue. */
    const ran = (schedule: string): readonly string[] => {
      if (!existsSync(file)) return [];
      const lines = readFileSync(file, "utf8").trimEnd().split("\n");
      return lines
        .filter((line) => line.startsWith(`${schedule} `))
        .map((line) => line.split(" ")[1]!.slice("ticks:".length));
    };
    /** As if no worker had run since then. */
    const rewind = async (schedule: string, lastMs: number) => {
      await queue.ticks("ticks", [schedule]);
      if (driver === "sqlite") {
        const database = new Database(url.slice("file:".length));
        database.run("PRAGMA busy_timeout = 2000");
        database
          .query("UPDATE tick SET at = ? WHERE queue = ? AND schedule = ?")
          .run(lastMs, `${namespace}:ticks`, schedule);
        return database.close();
      }
      const client = (await sharedRedis()).client();
      await client.hset(`{${namespace}:q:ticks}:ticks`, schedule, lastMs);
      client.disconnect();
    };

    test("one worker leads, each tick runs once, and the next leader goes on where the last one left", async () => {
      const [first, second] = await Promise.all([worker(), worker()]);
      await eventually(() => ran("often").length >= 5);
      const [leader] = await eventually(async () => {
        const leading = await leaders([first, second]);
        return leading.length === 1 ? leading : undefined;
      });
      const other = leader === first ? second : first;
      const before = ran("often").length;
      expect(await leader!.stop()).toBe(0);
      await eventually(() => ran("often").length > before + 5);
      expect(await leaders([other])).toHaveLength(1);
      expect(other.log().some((line) => line.includes("leads the schedules"))).toBe(true);
      await other.stop();
      expect(gaps(ticksOf(ran("often")))).toBe(0);
    });

    test("a leader that is killed is followed by another, and no tick is lost", async () => {
      const victim = await worker();
      await eventually(() => ran("often").length >= 2);
      victim.kill("SIGKILL");
      await victim.stop();
      await using _ = await worker();
      const before = ran("often").length;
      await eventually(() => ran("often").length > before + 10);
      expect(gaps(ticksOf(new Set(ran("often"))))).toBe(0);
    });

    test("two fleets whose leaders are paused for longer than their lease fire no tick twice and lose none", async () => {
      const fleet = await Promise.all([worker(), worker(), worker(), worker()]);
      for (let round = 0; round < 4; round++) {
        // One or two at a time, the leader always among them: the others must take over while it sleeps on.
        const [leader] = await eventually(async () => {
          const leading = await leaders(fleet);
          return leading.length > 0 ? leading : undefined;
        });
        const paused = [leader!, ...fleet.filter((one) => one !== leader).slice(0, round % 2)];
        for (const one of paused) one.kill("SIGSTOP");
        const awake = fleet.filter((one) => !paused.includes(one));
        await eventually(async () => (await leaders(awake)).length === 1);
        const before = new Set(ran("often")).size;
        await eventually(() => new Set(ran("often")).size > before + 3);
        for (const one of paused) one.kill("SIGCONT");
      }
      const now = Date.now();
      await eventually(() => ticksOf(ran("often")).some((tick) => tick > now));
      // What a paused worker held runs elsewhere, later and perhaps twice: it is the ticks that are counted, not the runs.
      await eventually(() => gaps(ticksOf(new Set(ran("often"))).filter((tick) => tick <= now)) === 0);
      await Promise.all(fleet.map((one) => one.stop()));
      const fired = fleet.flatMap((one) => one.log()).flatMap((line) => /tick (often-\d+) fired/.exec(line)?.[1] ?? []);
      // Each of the four rounds waited for four of them.
      expect(fired.length).toBeGreaterThanOrEqual(16);
      expect(fired.length).toBe(new Set(fired).size);
    });

    test("after a time without workers each schedule catches up as it says", async () => {
      const now = Date.now();
      await rewind("hourly", now - 10 * hourMs);
      await rewind("daily", now - 72 * hourMs);
      await rewind("careful", now - 72 * hourMs);
      await rewind("often", now - 2_000);
      await using running = await worker();
      await eventually(() => ran("often").length > 15);
      const hours = ran("hourly").map((id) => Number(id.slice("hourly-".length)));
      const expected = Array.from({ length: 10 }, (_, hour) => (Math.floor(now / hourMs) - 9 + hour) * hourMs);
      // A test that runs over the full hour sees one more.
      expect(hours.toSorted((a, b) => a - b).slice(0, 10)).toEqual(expected);
      expect(ran("daily")).toHaveLength(1);
      expect(new Date(Number(ran("daily")[0]!.slice("daily-".length))).getUTCMinutes()).toBe(30);
      expect(now - Number(ran("daily")[0]!.slice("daily-".length))).toBeLessThan(25 * hourMs);
      expect(ran("careful")).toEqual([]);
      expect(await metric(running.adminUrl, "schedule_ticks_total", { schedule: "daily" })).toBe(1);
    });
  });
}

/** Ticks of "often", in their order. */
function ticksOf(ids: Iterable<string>): readonly number[] {
  return Array.from(ids, (id) => Number(id.slice("often-".length))).toSorted((a, b) => a - b);
}

/** How many are missing between the first and the last; negative: some are there twice. */
function gaps(ticks: readonly number[]): number {
  return (ticks.at(-1)! - ticks[0]!) / 200 + 1 - ticks.length;
}
