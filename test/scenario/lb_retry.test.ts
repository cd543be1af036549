/** Role lb sending again: what, where, how often, and what never. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";

import { balancer, closing, get, hello } from "../harness/balancer.ts";
import { metric } from "../harness/metrics.ts";
import { answer, exchange, type RawBackend, rawBackend, rawClient, type Script } from "../harness/raw.ts";

setDefaultTimeout(60_000);

const reset: Script = (peer) => peer.reset();
const unavailable: Script = (peer) => peer.send(answer("later", "503 Service Unavailable"));

function withBody(method: string, body: string): string {
  return `${method} / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}

/** Heads that begin so, over all backends. */
function asked(method: string, ...backends: readonly RawBackend[]): number {
  return backends.flatMap(({ heads }) => heads).filter((head) => head.startsWith(`${method} `)).length;
}

/** Closes without a byte what comes second on a connection. */
const closesKept = () => {
  const seen = new WeakSet<object>();
  return rawBackend((peer) => {
    if (seen.has(peer)) return peer.reset();
    seen.add(peer);
    peer.send(answer("hello"));
  });
};

describe("where there is one target only", () => {
  test("a safe request that met a closed connection goes again on a new one", async () => {
    using backend = closesKept();
    await using lb = await balancer([backend]);
    using client = await rawClient(lb.url);
    for (let n = 0; n < 4; n++) {
      client.send(get("/"));
      expect(await client.until("hello")).toStartWith("HTTP/1.1 200 ");
    }
    expect(await metric(lb.adminUrl, "lb_retries_total", { reason: "stale" })).toBe(3);
  });

  test("a POST that may have arrived does not, and is answered for with 502", async () => {
    using backend = closesKept();
    await using lb = await balancer([backend]);
    const post = withBody("POST", "hello");
    expect(await exchange(lb.url, get("/", closing))).toStartWith("HTTP/1.1 200 ");
    expect(await exchange(lb.url, post)).toStartWith("HTTP/1.1 502 ");
    expect(asked("POST", backend)).toBe(1);
    expect(await metric(lb.adminUrl, "lb_retries_total")).toBe(0);
  });

  test("a new connection that fails is the target's failure: 502, once", async () => {
    using backend = rawBackend(reset);
    await using lb = await balancer([backend]);
    expect(await exchange(lb.url, get("/", closing))).toStartWith("HTTP/1.1 502 ");
    expect(backend.heads).toHaveLength(1);
  });
});

test("where every kept connection of every target is closed, a safe request needs one new one", async () => {
  using one = closesKept();
  using two = closesKept();
  using three = closesKept();
  await using lb = await balancer([one, two, three]);
  for (let n = 0; n < 12; n++) expect(await exchange(lb.url, get("/", closing))).toStartWith("HTTP/1.1 200 ");
  expect(await metric(lb.adminUrl, "lb_retries_total")).toBe(
    await metric(lb.adminUrl, "lb_retries_total", { reason: "stale" }),
  );
  expect(await metric(lb.adminUrl, "lb_retries_total")).toBeGreaterThan(2);
});

describe("a body", () => {
  test("of a request without effect is sent again with it", async () => {
    const bodies: string[] = [];
    using bad = rawBackend(async (peer) => {
      bodies.push(await peer.bytes(5));
      peer.reset();
    });
    using good = rawBackend(async (peer) => {
      bodies.push(await peer.bytes(5));
      peer.send(answer("got it"));
    });
    await using lb = await balancer([bad, good], ["--ejection-errors=0"]);
    for (let n = 0; n < 6; n++) expect(await exchange(lb.url, withBody("GET", "query"))).toEndWith("got it");
    expect(bodies).toEqual(Array<string>(9).fill("query"));
  });

  test("that is larger than what is kept makes that impossible", async () => {
    using bad = rawBackend(async (peer) => {
      await peer.bytes(100);
      peer.reset();
    });
    await using lb = await balancer([bad, bad.address.replace("127.0.0.1", "localhost")], ["--replay-bytes-max=99B"]);
    expect(await exchange(lb.url, withBody("GET", "x".repeat(100)))).toStartWith("HTTP/1.1 502 ");
    expect(bad.heads).toHaveLength(1);
  });
});

describe("--retry-statuses", () => {
  test("tries a safe request on another target", async () => {
    using bad = rawBackend(unavailable);
    using good = rawBackend(hello);
    await using lb = await balancer([bad, good], ["--retry-statuses=503", "--ejection-errors=0"]);
    for (let n = 0; n < 8; n++) expect(await exchange(lb.url, get("/", closing))).toEndWith("hello");
    expect(await metric(lb.adminUrl, "lb_retries_total", { reason: "status" })).toBe(4);
  });

  test("leaves the answer as it is where there is no other", async () => {
    using bad = rawBackend(unavailable);
    await using lb = await balancer([bad], ["--retry-statuses=503"]);
    expect(await exchange(lb.url, get("/", closing))).toEndWith("later");
  });

  test("never repeats a POST, and nothing without being asked to", async () => {
    using bad = rawBackend(unavailable);
    using good = rawBackend(hello);
    await using lb = await balancer([bad, good], ["--retry-statuses=502,503,504", "--ejection-errors=0"]);
    const found: string[] = [];
    for (let n = 0; n < 8; n++) found.push((await exchange(lb.url, withBody("POST", ""))).slice(9, 12));
    expect(found.filter((status) => status === "503")).toHaveLength(4);
    expect(asked("POST", bad, good)).toBe(8);
    await using other = await balancer([bad, good], ["--ejection-errors=0"]);
    for (let n = 0; n < 8; n++) await exchange(other.url, get("/", closing));
    expect(asked("GET", bad, good)).toBe(8);
  });
});

describe("the budget", () => {
  test("stops a storm: when every target fails, a fifth more is sent than was asked", async () => {
    using one = rawBackend(reset);
    using two = rawBackend(reset);
    using three = rawBackend(reset);
    const flags = ["--ejection-errors=0", "--retries-per-second-min=0"];
    await using lb = await balancer([one, two, three], flags);
    const requests = 200;
    for (let n = 0; n < requests; n++) {
      expect(await exchange(lb.url, get("/", closing))).toStartWith("HTTP/1.1 502 ");
    }
    const sent = asked("GET", one, two, three);
    expect(sent).toBe(requests * 1.2);
    expect(await metric(lb.adminUrl, "lb_retries_total")).toBe(sent - requests);
    expect(await metric(lb.adminUrl, "lb_retries_refused_total")).toBeGreaterThan(100);
    expect(await metric(lb.adminUrl, "lb_retry_budget")).toBe(0);
  });

  test("of nothing at all means no retries", async () => {
    using bad = rawBackend(reset);
    using good = rawBackend(hello);
    const flags = ["--ejection-errors=0", "--retries-per-second-min=0", "--retry-percent-max=0"];
    await using lb = await balancer([bad, good], flags);
    const found: string[] = [];
    for (let n = 0; n < 10; n++) found.push((await exchange(lb.url, get("/", closing))).slice(9, 12));
    expect(found.filter((status) => status === "502")).toHaveLength(5);
  });
});
