/** What makes several processes one: parts of limits, sums of numbers, the claim on a port, and what the machine must allow. */
import { describe, expect, test } from "bun:test";

import { sumOfLoads } from "../../lb/sum_of_loads.ts";
import { partOf } from "../../src/config/divide.ts";
import { listen } from "../../src/io/listener.ts";
import { claimPort, inheritClaim } from "../../src/io/port_claim.ts";
import { checkOpenFiles, connectionsThatFit } from "../../src/ops/machine.ts";
import { SummedMetrics } from "../../src/ops/summed_metrics.ts";

describe("a limit of the whole", () => {
  test.each([
    [10, 4, [3, 3, 2, 2]],
    [8, 4, [2, 2, 2, 2]],
    [0, 4, [0, 0, 0, 0]],
    [3, 4, [1, 1, 1, 1]],
  ])("%d over %d processes is %p", (total, of, parts) => {
    expect(parts.map((_, index) => partOf(total, { index: index + 1, of }))).toEqual(parts);
  });
});

describe("the numbers of several processes", () => {
  const numbers = (value: number, gauge: number) => [
    { name: "things_total", help: "t", type: "counter", aggregator: "sum", values: [{ labels: { a: "b" }, value }] },
    { name: "things_open", help: "t", type: "gauge", aggregator: "sum", values: [{ labels: {}, value: gauge }] },
    { name: "oldest", help: "t", type: "gauge", aggregator: "max", values: [{ labels: {}, value: gauge }] },
  ];
  const lines = async (sum: SummedMetrics) =>
    (await sum.text()).split("\n").filter((line) => /^(things|oldest)/.test(line));

  test("are added up; what an ended one had counted stays, what it had open does not", async () => {
    const sum = new SummedMetrics();
    sum.heard(1, numbers(5, 2));
    sum.heard(2, numbers(7, 3));
    expect(await lines(sum)).toEqual(['things_total{a="b"} 12', "things_open 5", "oldest 3"]);
    sum.ended(2);
    expect(await lines(sum)).toEqual(['things_total{a="b"} 12', "things_open 2", "oldest 2"]);
    sum.heard(3, numbers(1, 1));
    sum.ended(1);
    expect(await lines(sum)).toEqual(['things_total{a="b"} 13', "things_open 1", "oldest 1"]);
  });

  test("that come after the end of their process count no second time", async () => {
    const sum = new SummedMetrics();
    sum.heard(1, numbers(5, 2));
    sum.ended(1);
    sum.heard(1, numbers(6, 2));
    expect(await lines(sum)).toEqual(['things_total{a="b"} 5']);
  });

  test("of services and targets are added up by name", () => {
    const load = (waiting: number, requests: number) => [
      { service: "shop", waiting, targets: [{ target: "a:1", requestsInFlight: 1, requests }] },
    ];
    expect(sumOfLoads([load(1, 10), load(2, 5), []])).toEqual([
      { service: "shop", waiting: 3, targets: [{ target: "a:1", requestsInFlight: 2, requests: 15 }] },
    ]);
  });
});

describe("a port that is claimed", () => {
  const claim = () => claimPort({ host: "127.0.0.1", port: 0 }, "--listen");

  test("is nobody else's, before and while its owners listen", () => {
    const port = claim();
    expect(() => claimPort(port.address, "--listen")).toThrow("is about to listen there");
    const shared = listen({ address: port.address, flag: "--listen", reusePort: true, accept: () => undefined });
    expect(() => claimPort(port.address, "--listen")).toThrow("is taken");
    port.release();
    expect(() => claimPort(port.address, "--listen")).toThrow("is taken");
    shared.stop();
    claimPort(port.address, "--listen").release();
  });

  test("goes to a successor once its owner lets go of it", () => {
    const port = claim();
    const shared = listen({ address: port.address, flag: "--listen", reusePort: true, accept: () => undefined });
    expect(inheritClaim(port.address)).toBeUndefined();
    port.release();
    const successor = inheritClaim(port.address)!;
    expect(() => claimPort(port.address, "--listen")).toThrow("is taken");
    shared.stop();
    expect(() => claimPort(port.address, "--listen")).toThrow("is about to listen there");
    successor.release();
  });

  test("is not claimed where somebody else listens, sharing or not", () => {
    for (const reusePort of [true, false]) {
      const other = listen({
        address: { host: "127.0.0.1", port: 0 },
        flag: "--listen",
        reusePort,
        accept: () => undefined,
      });
      expect(() => claimPort(other.address, "--listen")).toThrow("is taken");
      other.stop();
    }
  });
});

describe("the limit of open files", () => {
  test("that is too low for what was asked for is an error with the fix", () => {
    const check = (limit: number) => () => checkOpenFiles(1_000, "--connections-max=500", limit);
    expect(check(1_024)).toThrow("1100 open files are needed, and the limit of this process is 1024");
    expect(check(1_100)).not.toThrow();
    expect(check(Number.POSITIVE_INFINITY)).not.toThrow();
  });

  test.each([
    [1_100, 1_000],
    [50, 1],
    [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY],
  ])("of %p leaves room for %p connections", (limit, connections) => {
    expect(connectionsThatFit(limit)).toBe(connections);
  });
});
