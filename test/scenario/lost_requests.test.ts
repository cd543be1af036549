/**
 * What becomes of requests that nobody sends again while the balancer's own processes come and go: each is a POST, counted where it
 * arrives. Who notices nothing because his client tries again is not here (takeover.test.ts, processes.test.ts).
 */
import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import type { Status } from "../../src/ops/control_protocol.ts";
import {
  type Clients,
  type CountingBackend,
  countingBackend,
  countingClients,
  longestStall,
  notOnce,
  postClient,
} from "../harness/counting.ts";
import { eventually } from "../harness/eventually.ts";
import { metric } from "../harness/metrics.ts";
import { migrate, migrateBefore } from "../harness/migrate.ts";
import { childrenOf, connectionsOf } from "../harness/proc.ts";
import { type ScaleProcess, startScale } from "../harness/process.ts";

setDefaultTimeout(60_000);
afterAll(() => void migrate(migrateBefore));

const runDir = mkdtempSync(join(tmpdir(), "scale-lost-"));
afterAll(() => rmSync(runDir, { recursive: true }));

const start = (backend: CountingBackend, processes: number, ...flags: readonly string[]) =>
  startScale([
    "--role=lb",
    `--backend=${backend.address}`,
    `--processes=${processes}`,
    `--run-dir=${runDir}`,
    "--health-interval=100ms",
    ...flags,
  ]);

/** Resolves when each has had so many more answers. */
async function answers(more: number, ...all: readonly Clients[]): Promise<void> {
  const before = all.map(({ counted }) => counted.answered.length);
  await eventually(() => all.every(({ counted }, index) => counted.answered.length >= before[index]! + more));
}

describe("by takeovers", () => {
  const rounds = 3;
  /** A connection that is idle for 500 ms may be closed. This process, which is client and target, must not be what was idle. */
  const stallMax = 400;

  async function replaced(
    backend: CountingBackend,
    first: ScaleProcess,
    processes: number,
    clients: readonly Clients[],
  ) {
    let lb = first;
    for (let round = 0; round < rounds; round++) {
      await answers(50, ...clients);
      const old = lb;
      lb = await start(backend, processes, "--takeover", `--listen=${new URL(old.url).host}`);
      expect(await old.exited).toBe(0);
      await old.stop();
    }
    await answers(50, ...clients);
    return lb;
  }

  test.each([1, 2])(
    "none that a process had accepted is lost, none doubled, and where the kernel hands queues over none at all, with --processes=%d",
    async (processes) => {
      const migrates = migrate("1");
      using backend = countingBackend();
      const first = await start(backend, processes);
      await using kept = countingClients(first.url, 4, "kept");
      await using fresh = countingClients(first.url, 4, "fresh");
      const stalled = longestStall();
      await using lb = await replaced(backend, first, processes, [kept, fresh]);
      const isStrict = migrates && stalled() < stallMax;
      for (const clients of [kept, fresh]) {
        const counted = await clients.stop();
        expect(notOnce(counted, backend)).toEqual([]);
        expect(counted.failed.filter(({ id }) => isStrict || backend.arrived.has(id))).toEqual([]);
      }
      expect(backend.arrived.size).toBe(kept.counted.answered.length + fresh.counted.answered.length);
      expect(lb.url).toBe(first.url);
    },
  );
});

describe("by kill -9 of one of two processes", () => {
  test("are those that it had under way, none other, and none is sent again", async () => {
    using backend = countingBackend();
    await using lb = await start(backend, 2);
    const clients = await Promise.all(Array.from({ length: 12 }, () => postClient(lb.url)));
    const [victim = 0, other = 0] = childrenOf(lb.pid);
    const portsOf = (pid: number) => new Set(connectionsOf(pid).map(({ remotePort }) => remotePort));
    const outcomes = clients.map((client, index) =>
      client.post(`held-${index}`, "/held").then(
        () => "answered",
        () => "failed",
      ),
    );
    await eventually(() => backend.held === clients.length);
    const ofVictim = portsOf(victim);
    const ofOther = portsOf(other);
    expect(clients.every(({ localPort }) => ofVictim.has(localPort) !== ofOther.has(localPort))).toBe(true);

    process.kill(victim, "SIGKILL");
    await eventually(() => !childrenOf(lb.pid).includes(victim));
    backend.release();
    const expected = clients.map(({ localPort }) => (ofVictim.has(localPort) ? "failed" : "answered"));
    expect(await Promise.all(outcomes)).toEqual(expected);
    for (const client of clients) client.end();
    expect([...backend.arrived.values()]).toEqual(clients.map(() => 1));
    await eventually(() => lb.log().some((line) => line.includes("is ready again")));
  });

  test("under load are at most one a client, sent before, and what is scraped and shown goes neither back nor double", async () => {
    migrate("1");
    using backend = countingBackend();
    await using lb = await start(backend, 2);
    await using kept = countingClients(lb.url, 4, "kept");
    await using fresh = countingClients(lb.url, 4, "fresh");
    await answers(50, kept, fresh);

    const scraped: number[] = [];
    const shown: number[] = [];
    const look = async (): Promise<void> => {
      scraped.push(await metric(lb.adminUrl, "lb_target_requests_total"));
      shown.push(await requestsShown(lb));
    };
    await look();
    const failed = () => [...kept.counted.failed, ...fresh.counted.failed];
    // One of them, and then, when nobody is left to answer, both.
    for (const victims of [1, 2]) {
      const killed = childrenOf(lb.pid).slice(0, victims);
      const ready = () => lb.log().filter((line) => line.includes("is ready again")).length;
      const before = ready();
      await Promise.all(killed.map(async (pid) => process.kill(pid, "SIGKILL")));
      await eventually(() => !childrenOf(lb.pid).some((pid) => killed.includes(pid)));
      const goneAt = performance.now();
      while (ready() < before + victims) await look();
      await answers(20, kept, fresh);
      await look();
      if (victims > 1) continue;
      // What it had sent on already is one request a client at most. Who writes to a kept connection of which he has not heard yet that it
      // is gone, has sent nothing to anybody.
      const sentOn = failed().filter(({ id }) => backend.arrived.has(id));
      const clients = sentOn.map(({ id }) => id.slice(0, id.lastIndexOf("-")));
      expect(clients).toEqual([...new Set(clients)]);
      expect([...sentOn, ...fresh.counted.failed].filter(({ at }) => at > goneAt)).toEqual([]);
    }
    const counted = [await kept.stop(), await fresh.stop()];
    await look();
    for (const values of [scraped, shown]) {
      expect(values).toEqual(values.toSorted((a, b) => a - b));
      expect(values.at(-1)).toBeLessThanOrEqual(backend.arrived.size + 8 * 2);
    }
    for (const one of counted) expect(notOnce(one, backend)).toEqual([]);
    expect([...backend.arrived.values()].filter((times) => times > 1)).toEqual([]);
  });
});

/** As `scale lb status` has them. */
async function requestsShown(lb: ScaleProcess): Promise<number> {
  const response = await fetch("http://control/status", { unix: `${runDir}/lb-${lb.pid}.sock` });
  const { services } = (await response.json()) as Status;
  return services.flatMap(({ targets }) => targets).reduce((sum, { requests }) => sum + requests, 0);
}
