// A proxy that passes TCP on says whose a connection is, and is believed only where it is trusted.

import { describe, expect, test } from "bun:test";

import { balancer, closing, get, hello } from "../harness/balancer.ts";
import { eventually } from "../harness/eventually.ts";
import { metric } from "../harness/metrics.ts";
import { exchange, rawBackend, rawClient } from "../harness/raw.ts";

const version1 = "PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n";
const version2 =
  "\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24" +
  "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01" +
  "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02\x12\x67\x01\xbb";
const ownCheck = "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

describe("a trusted proxy's header", () => {
  test.each([
    ["of version 1", version1, "192.0.2.7"],
    ["of version 2", version2, "2001:db8::1"],
    ["for itself", ownCheck, "127.0.0.1"],
  ])("%s says who the client is, whole or byte by byte", async (_, header, client) => {
    using backend = rawBackend(hello);
    await using lb = await balancer([backend], ["--proxy-protocol"]);
    expect(await exchange(lb.url, header + get("/", closing))).toEndWith("hello");
    using slow = await rawClient(lb.url);
    for (const byte of header) {
      slow.send(byte);
      await Bun.sleep(0);
    }
    slow.send(get("/", closing));
    expect(await slow.rest()).toEndWith("hello");
    expect(backend.heads).toHaveLength(2);
    for (const head of backend.heads) expect(head).toContain(`\r\nX-Forwarded-For: ${client}\r\n`);
  });

  test("names a stranger, whose word does not count", async () => {
    using backend = rawBackend(hello);
    await using lb = await balancer([backend], ["--proxy-protocol"]);
    await exchange(lb.url, version1 + get("/", closing, "X-Forwarded-For: 6.6.6.6"));
    expect(backend.heads[0]).toContain("\r\nX-Forwarded-For: 192.0.2.7\r\n");
  });

  test("names whom limits hold", async () => {
    using backend = rawBackend(hello);
    await using lb = await balancer([backend], ["--proxy-protocol", "--connections-per-client-max=1"]);
    using first = await rawClient(lb.url);
    first.send(version1 + get("/"));
    await first.until("hello");
    expect(await exchange(lb.url, version1 + get("/"))).toBe("");
    expect(await exchange(lb.url, version2 + get("/", closing))).toEndWith("hello");
  });
});

describe("a connection that must bring a header", () => {
  test("and begins otherwise is closed without an answer, and said once", async () => {
    using backend = rawBackend(hello);
    await using lb = await balancer([backend], ["--proxy-protocol"]);
    expect(await exchange(lb.url, get("/"))).toBe("");
    expect(await exchange(lb.url, `PROXY TCP4 nonsense\r\n${get("/")}`)).toBe("");
    expect(backend.heads).toHaveLength(0);
    expect(await metric(lb.adminUrl, "lb_connections_refused_total", { reason: "proxy_header" })).toBe(2);
    expect(lb.log().filter((line) => line.includes("does not begin with a PROXY protocol header"))).toHaveLength(1);
  });

  test("is refused once, whatever follows", async () => {
    using backend = rawBackend(hello);
    await using lb = await balancer([backend], ["--proxy-protocol"]);
    using client = await rawClient(lb.url);
    client.send("PROXY nonsense\r\n");
    await client.rest();
    for (const more of [version1, get("/"), "PROXY nonsense\r\n"]) client.send(more);
    expect(await exchange(lb.url, version1 + get("/", closing))).toEndWith("hello");
    expect(backend.heads).toHaveLength(1);
    expect(await metric(lb.adminUrl, "lb_connections_refused_total", { reason: "proxy_header" })).toBe(1);
    expect(await metric(lb.adminUrl, "lb_connections_open")).toBe(0);
  });

  test("and brings it too late is closed", async () => {
    using backend = rawBackend(hello);
    await using lb = await balancer([backend], ["--proxy-protocol", "--header-timeout=100ms"]);
    using client = await rawClient(lb.url);
    client.send("PROXY TCP4 192.0.2.7 ");
    expect(await client.rest()).toBe("");
    await eventually(() => lb.log().some((line) => line.includes("did not come within --header-timeout")));
  });

  test("does not hold up a balancer that stops", async () => {
    using backend = rawBackend(hello);
    await using lb = await balancer([backend], ["--proxy-protocol"]);
    using client = await rawClient(lb.url);
    client.send("PROXY ");
    await eventually(async () => (await metric(lb.adminUrl, "lb_connections_open")) === 1);
    expect(await lb.stop()).toBe(0);
  });
});

test("from a stranger no header is looked for: it is no request", async () => {
  using backend = rawBackend(hello);
  await using lb = await balancer([backend], ["--proxy-protocol", "--trusted-proxies=10.0.0.0/8"]);
  expect(await exchange(lb.url, version1 + get("/"))).toStartWith("HTTP/1.1 400 ");
  expect(await exchange(lb.url, get("/", closing))).toEndWith("hello");
});
