/** What is promised of a balancer holds of all its processes together: limits, rates, room at a target, places in the queue, retries, and who checks on targets. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";

import { balancer, closing, get } from "../harness/balancer.ts";
import { type CountingBackend, countingBackend, type PostClient, postClient } from "../harness/counting.ts";
import { eventually } from "../harness/eventually.ts";
import { metric } from "../harness/metrics.ts";
import type { ScaleProcess } from "../harness/process.ts";
import { exchange, rawBackend } from "../harness/raw.ts";

setDefaultTimeout(60_000);

/** So many that chance gives each process its share: the kernel spreads them by their ports. */
const clientsMax = 60;

interface Crowd extends Disposable {
  /** So far. */
  readonly refused: number;
  readonly clients: number;
  /** One more client sends a request that the backend holds; resolves when it is refused, waits, or has come through. */
  join(): Promise<void>;
}

function crowdOf(lb: ScaleProcess, backend: CountingBackend): Crowd {
  const clients: PostClient[] = [];
  const crowd = {
    refused: 0,
    get clients() {
      return clients.length;
    },
    async join() {
      const client = await postClient(lb.url);
      clients.push(client);
      client.post(`held-${clients.length}`, "/held").catch(() => crowd.refused++);
      await eventually(async () => backend.held + crowd.refused + (await waiting(lb)) === clients.length);
    },
    [Symbol.dispose]() {
      for (const client of clients) client.end();
      backend.release();
    },
  };
  return crowd;
}

const waiting = (lb: ScaleProcess) => metric(lb.adminUrl, "lb_queue_depth");

/** How many of many requests at a time come through; the others are refused, or wait. */
async function letIn(lb: ScaleProcess, backend: CountingBackend): Promise<number> {
  using crowd = crowdOf(lb, backend);
  while (crowd.clients < clientsMax) await crowd.join();
  return backend.held;
}

const warnings = (lb: ScaleProcess) => lb.log().filter((line) => line.includes("together they allow")).length;

describe.each([2, 3])("over %d processes", (processes) => {
  const together = `--processes=${processes}`;

  const limits: readonly (readonly [what: string, flag: (value: number) => string])[] = [
    ["requests of a client at a time", (value) => `--requests-per-client-max=${value}`],
    ["connections of a client", (value) => `--connections-per-client-max=${value}`],
    ["connections", (value) => `--connections-max=${value}`],
    ["requests of a client in a time", (value) => `--rate-limit=${value}/h`],
  ];
  test.each(limits)(
    "%s are as many as the limit says; a limit of 1 is 1 each, and the start says so",
    async (_, flag) => {
      // Clients are told apart by address where they are not trusted proxies.
      const untrusted = "--trusted-proxies=192.0.2.0/24";
      for (const [value, expected] of [
        [4, 4],
        [1, processes],
      ] as const) {
        using backend = countingBackend();
        await using lb = await balancer([backend.address], [together, untrusted, flag(value)]);
        expect([value, await letIn(lb, backend), warnings(lb)]).toEqual([value, expected, value === 1 ? 1 : 0]);
      }
    },
  );

  test.each([
    [4, 4],
    [1, processes],
  ])("a target with room for %d has at most %d at a time, and the others wait", async (room, most) => {
    using backend = countingBackend();
    await using lb = await balancer([`${backend.address},max_connections=${room}`], [together]);
    expect([await letIn(lb, backend), warnings(lb)]).toEqual([most, room === 1 ? 1 : 0]);
  });

  test("as many wait as the queue has places, and who is turned away first met a full part of it", async () => {
    const [room, depth] = [processes, 7];
    using backend = countingBackend();
    const flags = [together, `--queue-depth-max=${depth}`, "--queue-timeout=60s"];
    await using lb = await balancer([`${backend.address},max_connections=${room}`], flags);
    using crowd = crowdOf(lb, backend);
    while (crowd.refused === 0) await crowd.join();
    expect(crowd.clients - 1).toBeWithin(1 + Math.floor(depth / processes), room + depth + 1);
    while (crowd.clients < clientsMax) await crowd.join();
    const seen = { held: backend.held, waiting: await waiting(lb), refused: crowd.refused };
    expect(seen).toEqual({ held: room, waiting: depth, refused: clientsMax - room - depth });
    expect(await metric(lb.adminUrl, "lb_queue_shed_total", { reason: "full" })).toBe(seen.refused);
  });

  test.each([
    ["of a fifth of the requests", 0, 0],
    ["of a fifth of the requests, 10 a second, and 10 s of those at first", 10, 100],
  ])("one budget %s bounds the retries of a storm", async (_, perSecond, saved) => {
    using one = rawBackend((peer) => peer.reset());
    using two = rawBackend((peer) => peer.reset());
    using three = rawBackend((peer) => peer.reset());
    const flags = [together, "--ejection-errors=0", `--retries-per-second-min=${perSecond}`];
    await using lb = await balancer([one, two, three], flags);
    const requests = 300;
    const begin = performance.now();
    for (let n = 0; n < requests; n++) {
      expect(await exchange(lb.url, get("/", closing))).toStartWith("HTTP/1.1 502 ");
    }
    const retries = one.heads.length + two.heads.length + three.heads.length - requests;
    const allowed = requests * 0.2 + saved;
    const meanwhile = (perSecond * (performance.now() - begin)) / 1_000;
    // A process is left with less than one, and what comes while no more can be saved up is lost.
    expect(retries).toBeWithin(allowed - 2 * processes, allowed + meanwhile + 1);
    expect(await metric(lb.adminUrl, "lb_retries_total")).toBe(retries);
  });
});

test("one process checks on targets, however many carry requests", async () => {
  let checks = 0;
  const begun = Promise.withResolvers<number>();
  const checksMin = 20;
  const done = Promise.withResolvers<number>();
  using target = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch() {
      checks++;
      if (checks === 1) begun.resolve(performance.now());
      if (checks === checksMin) done.resolve(performance.now());
      return new Response("ok");
    },
  });
  await using lb = await balancer([`127.0.0.1:${target.port}`], ["--processes=3", "--health-interval=100ms"]);
  const milliseconds = (await done.promise) - (await begun.promise);
  // Each interval is up to a tenth shorter. Four that check would be done in a quarter of the time.
  expect(milliseconds).toBeGreaterThan((checksMin - 1) * 90 * 0.9);
  expect(await metric(lb.adminUrl, "lb_targets", { state: "healthy" })).toBe(1);
});
