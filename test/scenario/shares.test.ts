/** What is promised of a balancer holds of all its processes together: limits, rates, room at a target, and who checks on targets. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";

import { balancer } from "../harness/balancer.ts";
import { type CountingBackend, countingBackend, type PostClient, postClient } from "../harness/counting.ts";
import { eventually } from "../harness/eventually.ts";
import { metric } from "../harness/metrics.ts";
import type { ScaleProcess } from "../harness/process.ts";

setDefaultTimeout(60_000);

/** So many that chance gives each process its share: the kernel spreads them by their ports. */
const clientsMax = 40;

/** How many of many requests at a time come through; the others are refused, or wait. */
async function letIn(lb: ScaleProcess, backend: CountingBackend): Promise<number> {
  const clients: PostClient[] = [];
  let refused = 0;
  for (let n = 0; n < clientsMax; n++) {
    const client = await postClient(lb.url);
    clients.push(client);
    client.post(`held-${n}`, "/held").catch(() => refused++);
  }
  const waiting = () => metric(lb.adminUrl, "lb_queue_depth");
  await eventually(async () => backend.held + refused + (await waiting()) === clientsMax);
  const held = backend.held;
  for (const client of clients) client.end();
  backend.release();
  return held;
}

const warnings = (lb: ScaleProcess) => lb.log().filter((line) => line.includes("together they allow")).length;

describe("over two processes", () => {
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
        [1, 2],
      ] as const) {
        using backend = countingBackend();
        await using lb = await balancer([backend.address], ["--processes=2", untrusted, flag(value)]);
        expect([value, await letIn(lb, backend), warnings(lb)]).toEqual([value, expected, value === 1 ? 1 : 0]);
      }
    },
  );

  test.each([
    [4, 4],
    [1, 2],
  ])("a target with room for %d has at most %d at a time, and the others wait", async (room, most) => {
    using backend = countingBackend();
    await using lb = await balancer([`${backend.address},max_connections=${room}`], ["--processes=2"]);
    expect([await letIn(lb, backend), warnings(lb)]).toEqual([most, room === 1 ? 1 : 0]);
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
