/** What makes several processes one: parts of limits, sums of numbers, the claim on a port, and what the machine must allow. */
import { describe, expect, test } from "bun:test";

import { clientsThatFit } from "../../lb/open_files.ts";
import { heardLoads, sumOfLoads } from "../../lb/sum_of_loads.ts";
import type { World } from "../../lb/world.ts";
import { partOf } from "../../src/config/divide.ts";
import { listen } from "../../src/io/listener.ts";
import { claimPort, inheritClaim } from "../../src/io/port_claim.ts";
import { checkOpenFiles, connectionsThatFit } from "../../src/ops/machine.ts";
import { heardMetrics, metricsText } from "../../src/ops/summed_metrics.ts";
import { sumOfShapes } from "../../src/runtime/sum_of_shapes.ts";

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
  type Children = ReturnType<typeof heardMetrics>;
  const childrenOf = (...pids: readonly number[]): Children => {
    const children = heardMetrics();
    for (const pid of pids) children.started(pid);
    return children;
  };
  const lines = async (children: Children) =>
    (await metricsText(children)).split("\n").filter((line) => /^(things|oldest)/.test(line));

  test("are added up; what an ended one had counted stays, what it had open does not", async () => {
    const children = childrenOf(1, 2);
    children.heard(1, numbers(5, 2));
    children.heard(2, numbers(7, 3));
    expect(await lines(children)).toEqual(['things_total{a="b"} 12', "things_open 5", "oldest 3"]);
    children.ended(2);
    expect(await lines(children)).toEqual(['things_total{a="b"} 12', "things_open 2", "oldest 2"]);
    children.started(3);
    children.heard(3, numbers(1, 1));
    children.ended(1);
    expect(await lines(children)).toEqual(['things_total{a="b"} 13', "things_open 1", "oldest 1"]);
  });

  test("that come after the end of their process count no second time, however many end together", async () => {
    const children = childrenOf(1, 2, 3);
    for (const pid of [1, 2, 3]) children.heard(pid, numbers(5, 2));
    for (const pid of [1, 2, 3]) children.ended(pid);
    for (const pid of [1, 2, 3]) children.heard(pid, numbers(6, 2));
    expect(await lines(children)).toEqual(['things_total{a="b"} 15']);
  });

  test("of a process that has the id of one before it count beside those", async () => {
    const children = childrenOf(1);
    children.heard(1, numbers(5, 2));
    children.ended(1);
    children.started(1);
    expect(await lines(children)).toEqual(['things_total{a="b"} 5']);
    children.heard(1, numbers(1, 1));
    expect(await lines(children)).toEqual(['things_total{a="b"} 6', "things_open 1", "oldest 1"]);
  });

  const load = (waiting: number, requests: number, target = "a:1") => [
    { service: "shop", waiting, targets: [{ target, requestsInFlight: 1, requests }] },
  ];

  test("of services and targets are added up by name", () => {
    expect(sumOfLoads([load(1, 10), load(2, 5), []])).toEqual([
      { service: "shop", waiting: 3, targets: [{ target: "a:1", requestsInFlight: 2, requests: 15 }] },
    ]);
  });

  test("of a target stay when their process ends, and go with the target", () => {
    let targets = ["a:1", "b:1"];
    const world = () => ({ services: [{ name: "shop", targets: targets.map((name) => ({ name })) }] });
    const loads = heardLoads(world as unknown as () => World);
    const requests = () => sumOfLoads(loads.all()).flatMap((service) => service.targets.map((each) => each.requests));
    for (const pid of [1, 2, 3]) loads.started(pid);
    loads.heard(1, load(1, 10));
    loads.heard(2, load(2, 5));
    loads.heard(3, load(2, 7, "b:1"));
    loads.ended(1);
    expect(sumOfLoads(loads.all())[0]).toEqual({
      service: "shop",
      waiting: 4,
      targets: [
        { target: "a:1", requestsInFlight: 1, requests: 15 },
        { target: "b:1", requestsInFlight: 1, requests: 7 },
      ],
    });
    targets = ["b:1"];
    loads.ended(3);
    loads.ended(2);
    expect(requests()).toEqual([7]);
  });
});

test("the statements of several processes are one list, the most used first", () => {
  const of = (text: string, times: number) => ({ text, times });
  expect(sumOfShapes([[of("a", 1), of("b", 2)], [], [of("a", 3)]])).toEqual([of("a", 4), of("b", 2)]);
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
    expect(() => inheritClaim(port.address)).toThrow("is about to listen there");
    port.release();
    const successor = inheritClaim(port.address);
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

  const none = Number.POSITIVE_INFINITY;
  test.each([
    [1_000, none, 500],
    [1_001, none, 500],
    [1_000, 100, 900],
    [1_000, 499, 501],
    [1_000, 500, 500],
    [1_000, 5_000, 500],
    [none, none, none],
    [none, 100, none],
  ])("with %p connections, at most %p of them to targets, leaves room for %p clients", (connections, most, clients) => {
    expect(clientsThatFit(connections, most)).toBe(clients);
  });
});
