/** Role lb when targets fail: who is taken out, who comes back and how, and what a whole service in trouble does. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";

import { balancer, closing, get, hello } from "../harness/balancer.ts";
import { eventually } from "../harness/eventually.ts";
import { metric } from "../harness/metrics.ts";
import { type ScaleProcess, startScale } from "../harness/process.ts";
import { answer, exchange, rawBackend, rawClient, type Script } from "../harness/raw.ts";

setDefaultTimeout(60_000);

/** An application whose answers to checks and to everything else can be changed. */
function switchable(name: string) {
  const state = { ready: 200, status: 200, requests: 0 };
  let checked = () => Promise.resolve();
  /** Lets checks wait for their answer from now on. */
  const hold = () => {
    const { promise, resolve: release } = Promise.withResolvers<void>();
    const checks = { held: 0, release };
    checked = () => {
      checks.held++;
      return promise;
    };
    return checks;
  };
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    routes: { "/readyz": () => checked().then(() => new Response("", { status: state.ready })) },
    fetch: () => {
      state.requests++;
      return new Response(name, { status: state.status });
    },
  });
  const stop = () => void server.stop(true);
  return Object.assign(state, { hold, address: `127.0.0.1:${server.port}`, [Symbol.dispose]: stop });
}

/** Statuses of requests made one after the other. */
async function statuses(lb: ScaleProcess, requests: number, request = get("/", closing)): Promise<string[]> {
  const found: string[] = [];
  for (let n = 0; n < requests; n++) found.push((await exchange(lb.url, request)).slice(9, 12));
  return found;
}

/** One pass and then none: what is taken out stays out. */
const checkedOnce = "--health-interval=60s";

const logged = (lb: ScaleProcess, text: string) => lb.log().filter((line) => line.includes(text));

describe("a target whose checks pass and whose requests fail", () => {
  const garbage: Script = (peer) => {
    peer.send("garbage\r\n\r\n");
    peer.end();
  };
  const reset: Script = (peer) => peer.reset();

  test.each<[what: string, script: Script, request: string, failures: number]>([
    ["garbage", garbage, get("/", closing), 5],
    ["502", (peer) => peer.send(answer("", "502 Bad Gateway")), get("/", closing), 5],
    ["a reset, where the request may have had an effect", reset, get("/", closing).replace("GET", "DELETE"), 5],
    ["a reset, where another target can be asked", reset, get("/", closing), 0],
  ])("is taken out after five in a row: %s", async (_, script, request, failures) => {
    using bad = rawBackend(script);
    using good = rawBackend(hello);
    await using lb = await balancer([bad, good], [checkedOnce]);
    const found = await statuses(lb, 30, request);
    expect(found.filter((status) => status !== "200")).toHaveLength(failures);
    expect(bad.heads).toHaveLength(5);
    expect(logged(lb, "healthy → ejected (5 errors in a row, the last: ")).toHaveLength(1);
    expect(await metric(lb.adminUrl, "lb_target_ejections_total", { target: bad.address })).toBe(1);
    expect(await metric(lb.adminUrl, "lb_targets", { state: "ejected" })).toBe(1);
  });

  test("returns after a while, and is out for longer when it fails again", async () => {
    using bad = rawBackend(garbage);
    using good = rawBackend(hello);
    await using lb = await balancer([bad, good], ["--ejection-time=1s", checkedOnce, "--slow-start=0"]);
    await statuses(lb, 10);
    const ejectedAt = performance.now();
    await eventually(() => logged(lb, "ejected → healthy (its ejection is over)").length === 1);
    expect(performance.now() - ejectedAt).toBeGreaterThan(900);
    await statuses(lb, 10);
    const again = performance.now();
    await eventually(() => logged(lb, "ejected → healthy (its ejection is over)").length === 2);
    expect(performance.now() - again).toBeGreaterThan(1_900);
    expect(bad.heads).toHaveLength(10);
  });

  test("is brought back by the first check after that, and by one more each time that it fails again", async () => {
    using bad = switchable("bad");
    using good = switchable("good");
    const flags = ["--slow-start=0", "--ejection-time=60s", "--health-interval=300ms", "--health-timeout=30s"];
    await using lb = await balancer([bad.address, good.address], flags);
    for (const passes of [1, 2, 3]) {
      const checks = bad.hold();
      await eventually(() => checks.held > 0);
      bad.status = 503;
      await statuses(lb, 10);
      await eventually(() => logged(lb, "healthy → ejected").length === passes);
      bad.status = 200;
      checks.release();
      await eventually(() => logged(lb, `ejected → healthy (${passes} passed)`).length === 1);
      // The one that was under way, which passed too, and those after it.
      expect(checks.held).toBeGreaterThan(passes);
    }
    expect(logged(lb, "ejected → healthy")).toHaveLength(3);
  });

  test("is taken out only while that is at most half of them, and another is well", async () => {
    using one = switchable("one");
    using two = switchable("two");
    using three = switchable("three");
    await using lb = await balancer([one.address, two.address, three.address], [checkedOnce]);
    one.status = two.status = 503;
    await statuses(lb, 60);
    expect(await metric(lb.adminUrl, "lb_targets", { state: "ejected" })).toBe(1);
    expect(await metric(lb.adminUrl, "lb_targets", { state: "healthy" })).toBe(2);
  });

  test("is never taken out when it is the only one", async () => {
    using only = switchable("only");
    await using lb = await balancer([only.address]);
    only.status = 503;
    expect(new Set(await statuses(lb, 20))).toEqual(new Set(["503"]));
    expect(only.requests).toBe(20);
  });
});

test("a target that hangs costs the requests it holds and five more, not those after", async () => {
  using hanging = rawBackend(() => undefined);
  using good = rawBackend(hello);
  await using lb = await balancer([hanging, good], ["--first-byte-timeout=200ms", checkedOnce]);
  const found = await statuses(lb, 30);
  expect(found.filter((status) => status === "504")).toHaveLength(5);
  expect(found.slice(-15)).toEqual(Array<string>(15).fill("200"));
});

describe("a panic", () => {
  test("begins when less than half are healthy: all are used; it is said once, and once that it is over", async () => {
    using one = switchable("one");
    using two = switchable("two");
    using three = switchable("three");
    await using lb = await balancer([one.address, two.address, three.address]);
    one.ready = two.ready = 500;
    await eventually(() => logged(lb, "panic, so few targets are healthy that all are used").length > 0);
    expect(await metric(lb.adminUrl, "lb_service_panic", { service: "default" })).toBe(1);
    one.requests = two.requests = three.requests = 0;
    expect(new Set(await statuses(lb, 30))).toEqual(new Set(["200"]));
    expect([one.requests, two.requests, three.requests]).toEqual([10, 10, 10]);
    one.ready = 200;
    await eventually(() => logged(lb, "the panic is over").length > 0);
    two.requests = 0;
    await statuses(lb, 10);
    expect(two.requests).toBe(0);
    expect(logged(lb, "panic, so few")).toHaveLength(1);
  });

  test("does not happen with --panic-percent=0: then a service of which nothing is healthy says so", async () => {
    using one = switchable("one");
    await using lb = await balancer([one.address], ["--panic-percent=0"]);
    one.ready = 500;
    await eventually(() => logged(lb, "→ unhealthy").length > 0);
    expect(await statuses(lb, 3)).toEqual(["503", "503", "503"]);
    expect(one.requests).toBe(0);
  });
});

describe("a slow start", () => {
  /** Part of the requests, made for `milliseconds`, that `target` got. */
  async function shareOf(target: { requests: number }, lb: ScaleProcess, milliseconds: number): Promise<number> {
    target.requests = 0;
    using client = await rawClient(lb.url);
    const end = performance.now() + milliseconds;
    let all = 0;
    for (; performance.now() < end; all++) {
      client.send(get("/"));
      await client.until("\r\n\r\n");
      await client.until("e");
    }
    return target.requests / all;
  }

  test("gives a target that returns a tenth of its share at first, and all of it in the end", async () => {
    using warm = switchable("e");
    using cold = switchable("e");
    await using lb = await balancer([warm.address, cold.address], ["--slow-start=3s", "--health-interval=50ms"]);
    const startedAt = performance.now();
    cold.ready = 500;
    await eventually(() => logged(lb, "→ unhealthy").length === 1);
    // The other has to have been in for longer than a slow start lasts.
    await eventually(() => performance.now() > startedAt + 3_000);
    cold.ready = 200;
    await eventually(() => logged(lb, "unhealthy → healthy").length === 1);
    const backAt = performance.now();
    const first = await shareOf(cold, lb, 600);
    expect(first).toBeWithin(0.05, 0.25);
    expect(await shareOf(cold, lb, 600)).toBeGreaterThan(first);
    await eventually(async () => (await shareOf(cold, lb, 200)) > 0.48);
    expect(performance.now() - backAt).toBeWithin(2_500, 6_000);
  });

  test("is not for targets that start together", async () => {
    using one = switchable("e");
    using two = switchable("e");
    await using lb = await balancer([one.address, two.address], ["--slow-start=60s"]);
    expect(await shareOf(one, lb, 300)).toBeWithin(0.45, 0.55);
  });
});

test("checks ask with the method and path they are told, and any status they are told passes", async () => {
  const asked: string[] = [];
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: (request) => {
      asked.push(`${request.method} ${new URL(request.url).pathname}`);
      return new Response("", { status: 401 });
    },
  });
  const flags = ["--health-method=HEAD", "--health-path=/up", "--health-status=200-299,401"];
  await using lb = await balancer([`127.0.0.1:${server.port}`], flags);
  expect(new Set(asked)).toEqual(new Set(["HEAD /up"]));
  expect(await metric(lb.adminUrl, "lb_target_healthy")).toBe(1);
  await server.stop(true);
});

test("a check of a process that is stopped fails in time, and the target is back when the process goes on", async () => {
  using other = rawBackend(hello);
  await using app = await startScale(["--role=app", "--listen=127.0.0.1:0", "--drain-delay=0"], { ready: "listening" });
  const target = new URL(app.url).host;
  await using lb = await balancer([target, other], ["--health-timeout=200ms", "--health-path=/healthz"]);
  app.kill("SIGSTOP");
  await eventually(() => logged(lb, `${target}: healthy → unhealthy (no answer within 200 ms)`).length === 1);
  expect(new Set(await statuses(lb, 6))).toEqual(new Set(["200"]));
  app.kill("SIGCONT");
  await eventually(() => logged(lb, `${target}: unhealthy → healthy (2 passed)`).length === 1);
});
