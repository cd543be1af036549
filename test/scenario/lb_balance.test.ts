/** Role lb choosing: which target a request goes to, how many one gets at a time, and who waits. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";

import { balancer, closing, get } from "../harness/balancer.ts";
import { eventually } from "../harness/eventually.ts";
import { metric } from "../harness/metrics.ts";
import { answer, exchange, type RawBackend, rawBackend, rawClient } from "../harness/raw.ts";

setDefaultTimeout(60_000);

/** A backend that answers with its name when `release` is called, as many requests as it holds. */
function holding(name: string): RawBackend & { release(): void } {
  const held: (() => void)[] = [];
  const backend = rawBackend(async (peer) => {
    await new Promise<void>((resolve) => held.push(resolve));
    peer.send(answer(name));
  });
  return Object.assign(backend, { release: () => held.splice(0).forEach((resolve) => resolve()) });
}

const named = (name: string) => rawBackend((peer) => peer.send(answer(name)));
const bodyOf = (response: string) => response.slice(response.indexOf("\r\n\r\n") + 4);

describe("max_connections", () => {
  test("is the most requests a target gets at a time; what is more waits, first come first served", async () => {
    using backend = holding("a");
    await using lb = await balancer([`${backend.address},max_connections=2`]);
    const answers = [];
    for (let n = 1; n <= 5; n++) {
      answers.push(exchange(lb.url, get(`/${n}`, closing)));
      await eventually(async () => (await metric(lb.adminUrl, "lb_requests_in_flight")) === n, {
        what: `request ${n}`,
      });
    }
    expect(backend.heads).toHaveLength(2);
    expect(await metric(lb.adminUrl, "lb_queue_depth", { service: "default" })).toBe(3);
    await eventually(() => {
      backend.release();
      return backend.heads.length === 5;
    });
    expect(backend.heads.map((head) => head.split(" ")[1])).toEqual(["/1", "/2", "/3", "/4", "/5"]);
    backend.release();
    expect((await Promise.all(answers)).map(bodyOf)).toEqual(["a", "a", "a", "a", "a"]);
    expect(await metric(lb.adminUrl, "lb_queue_depth")).toBe(0);
    expect(await metric(lb.adminUrl, "lb_queue_wait_seconds_count")).toBe(3);
  });

  test("sends to another target what one has no room for", async () => {
    using full = holding("full");
    using other = named("other");
    await using lb = await balancer([`${full.address},weight=9,max_connections=1`, other]);
    const answers = Array.from({ length: 10 }, () => exchange(lb.url, get("/", closing)));
    await eventually(() => full.heads.length === 1 && other.heads.length === 9);
    full.release();
    expect((await Promise.all(answers)).map(bodyOf).toSorted()).toEqual(["full", ...Array(9).fill("other")]);
  });

  test("lets a request wait no longer than --queue-timeout: 503 that says when to come back", async () => {
    using backend = holding("a");
    await using lb = await balancer([`${backend.address},max_connections=1`], ["--queue-timeout=300ms"]);
    const first = exchange(lb.url, get("/", closing));
    await eventually(() => backend.heads.length === 1);
    const second = await exchange(lb.url, get("/", closing));
    expect(second).toStartWith("HTTP/1.1 503 ");
    expect(second).toContain("\r\nRetry-After: 1\r\n");
    expect(await metric(lb.adminUrl, "lb_queue_shed_total", { reason: "deadline" })).toBe(1);
    backend.release();
    expect(bodyOf(await first)).toBe("a");
  });

  test("turns the newest away at once when --queue-depth-max wait", async () => {
    using backend = holding("a");
    await using lb = await balancer([`${backend.address},max_connections=1`], ["--queue-depth-max=1"]);
    const first = exchange(lb.url, get("/", closing));
    await eventually(() => backend.heads.length === 1);
    const second = exchange(lb.url, get("/", closing));
    await eventually(async () => (await metric(lb.adminUrl, "lb_queue_depth")) === 1);
    expect(await exchange(lb.url, get("/", closing))).toStartWith("HTTP/1.1 503 ");
    expect(await metric(lb.adminUrl, "lb_queue_shed_total", { reason: "full" })).toBe(1);
    await eventually(() => {
      backend.release();
      return backend.heads.length === 2;
    });
    backend.release();
    expect((await Promise.all([first, second])).map(bodyOf)).toEqual(["a", "a"]);
  });

  test("makes nobody wait behind a request that has no use for the room there is", async () => {
    using full = holding("full");
    using other = rawBackend((peer, head) =>
      head.startsWith("GET /reset ") ? peer.reset() : peer.send(answer("other")),
    );
    await using lb = await balancer([`${full.address},max_connections=1`, other]);
    const held = [exchange(lb.url, get("/", closing)), exchange(lb.url, get("/", closing))];
    await eventually(() => full.heads.length === 1 && other.heads.length === 1);
    const retried = exchange(lb.url, get("/reset", closing));
    await eventually(async () => (await metric(lb.adminUrl, "lb_queue_depth")) === 1);
    expect(bodyOf(await exchange(lb.url, get("/", closing)))).toBe("other");
    full.release();
    await eventually(() => full.heads.length === 2);
    full.release();
    expect((await Promise.all([...held, retried])).map(bodyOf).toSorted()).toEqual(["full", "full", "other"]);
  });

  test("does not keep a place for a client that leaves the queue", async () => {
    using backend = holding("a");
    await using lb = await balancer([`${backend.address},max_connections=1`]);
    const first = exchange(lb.url, get("/1", closing));
    await eventually(() => backend.heads.length === 1);
    const leaving = await rawClient(lb.url);
    leaving.send(get("/2"));
    await eventually(async () => (await metric(lb.adminUrl, "lb_queue_depth")) === 1);
    leaving.end();
    await eventually(async () => (await metric(lb.adminUrl, "lb_queue_depth")) === 0);
    backend.release();
    await first;
    expect(backend.heads).toHaveLength(1);
    expect(await metric(lb.adminUrl, "lb_target_requests_in_flight")).toBe(0);
  });
});

describe("--balance", () => {
  test("least_connections keeps away from a target whose requests last", async () => {
    using slow = holding("slow");
    using quick = named("quick");
    await using lb = await balancer([slow, quick], ["--balance=least_connections"]);
    using waiting = await rawClient(lb.url);
    const second = exchange(lb.url, get("/", closing));
    waiting.send(get("/"));
    await eventually(() => slow.heads.length === 1);
    await Promise.race([second, eventually(() => quick.heads.length === 1)]);
    for (let n = 0; n < 8; n++) expect(bodyOf(await exchange(lb.url, get("/", closing)))).toBe("quick");
    expect(slow.heads).toHaveLength(1);
    slow.release();
    await second;
  });

  test("ip_hash leads a client, as trusted proxies name it, to one target; clients spread", async () => {
    using a = named("a");
    using b = named("b");
    await using lb = await balancer([a, b], ["--balance=ip_hash"]);
    const targetOf = async (client: string) =>
      bodyOf(await exchange(lb.url, get("/", closing, `X-Forwarded-For: ${client}`)));
    const clients = Array.from({ length: 20 }, (_, n) => `192.0.2.${n}`);
    const first = await Promise.all(clients.map(targetOf));
    const again: string[] = [];
    for (const client of clients) again.push(await targetOf(client));
    const settled: string[] = [];
    for (const client of clients) settled.push(await targetOf(client));
    expect(settled).toEqual(again);
    expect(new Set(first)).toEqual(new Set(["a", "b"]));
  });
});

describe("--sticky-cookie", () => {
  const cookieIn = (response: string) =>
    /Set-Cookie: (lb=[\w-]{22}); Path=\/; HttpOnly; SameSite=Lax/.exec(response)?.[1];

  test("brings a client back to its target, and sets the cookie only where that is news", async () => {
    using a = named("a");
    using b = named("b");
    await using lb = await balancer([a, b], ["--sticky-cookie=lb"]);
    expect(lb.log().join("\n")).toContain("SCALE_STICKY_KEY");
    const first = await exchange(lb.url, get("/", closing));
    const cookie = cookieIn(first);
    for (let n = 0; n < 6; n++) {
      const again = await exchange(lb.url, get("/", closing, `Cookie: theme=dark; ${cookie}`));
      expect(bodyOf(again)).toBe(bodyOf(first));
      expect(again).not.toContain("Set-Cookie");
    }
    expect(cookieIn(await exchange(lb.url, get("/", closing, "Cookie: lb=forged")))).toBeDefined();
  });

  test("falls through at once when the target is gone, to one that the client then stays at", async () => {
    using a = named("a");
    using b = named("b");
    await using lb = await balancer([a, b], ["--sticky-cookie=lb"]);
    const first = await exchange(lb.url, get("/", closing));
    (bodyOf(first) === "a" ? a : b).stop(true);
    const second = await exchange(lb.url, get("/", closing, `Cookie: ${cookieIn(first)}`));
    expect(bodyOf(second)).toBe(bodyOf(first) === "a" ? "b" : "a");
    expect(cookieIn(second)).not.toBe(cookieIn(first));
    expect(bodyOf(await exchange(lb.url, get("/", closing, `Cookie: ${cookieIn(second)}`)))).toBe(bodyOf(second));
  });

  test("means the same to every balancer that has the key", async () => {
    using a = named("a");
    using b = named("b");
    const env = { SCALE_STICKY_KEY: "the same for every one of them" };
    await using one = await balancer([a, b], ["--sticky-cookie=lb"], { env });
    await using other = await balancer([b, a], ["--sticky-cookie=lb"], { env });
    const first = await exchange(one.url, get("/", closing));
    for (let n = 0; n < 4; n++) {
      const response = await exchange(other.url, get("/", closing, `Cookie: ${cookieIn(first)}`));
      expect(bodyOf(response)).toBe(bodyOf(first));
    }
    expect(one.log().join("\n")).not.toContain("STICKY");
  });
});
