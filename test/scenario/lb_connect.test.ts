/**
 * Role lb and CONNECT: it leads to the proxies of the service that names what it asks for, becomes a tunnel when one of them says so, and is
 * refused everywhere else. The proxy here does what one is for: it connects to somewhere and joins the two.
 */
import { describe, expect, setDefaultTimeout, test } from "bun:test";

import { balancer, closing, configured, get, hello } from "../harness/balancer.ts";
import { eventually } from "../harness/eventually.ts";
import { metric } from "../harness/metrics.ts";
import { answer, exchange, rawBackend, rawClient, type RawPeer } from "../harness/raw.ts";

setDefaultTimeout(60_000);

const ask = (authority: string, ...lines: readonly string[]) =>
  [`CONNECT ${authority} HTTP/1.1`, `Host: ${authority}`, ...lines, "", ""].join("\r\n");
const accepted = "HTTP/1.1 200 Connection established\r\nDate: d\r\n\r\n";

/** Tunnels that are open at the end of a test end with the balancer. */
const atOnce = ["--tunnel-drain-timeout=0"];

const allowing = (proxy: { readonly address: string }, ...authorities: readonly string[]) =>
  `[services.proxies]\nconnect = ${JSON.stringify(authorities)}\nbackends = ["${proxy.address}"]`;

/** Connects to whatever it is asked for, and joins the two. */
function forwardProxy() {
  return rawBackend(async (peer, head) => {
    using far = await rawClient(`http://${/^CONNECT (\S+) /.exec(head)![1]!}`);
    peer.send(accepted);
    const pass = (from: RawPeer, to: RawPeer) => to.send(from.take(from.received.length));
    while (!peer.isEnded) {
      await eventually(() => peer.received + far.received !== "" || far.isEnded || peer.isEnded, { timeout: 60_000 });
      pass(peer, far);
      pass(far, peer);
      if (far.isEnded) peer.end();
    }
    peer.end();
  });
}

describe("a CONNECT that a service allows", () => {
  test("reaches what it asks for through the service's proxy, and counts as a tunnel", async () => {
    using far = rawBackend(hello);
    using proxy = forwardProxy();
    await using it = await configured(allowing(proxy, far.address), 1);
    using client = await rawClient(it.lb.url);
    client.send(ask(far.address, "Proxy-Authorization: Basic eA==", "Connection: keep-alive, X-Hop", "X-Hop: 1"));
    expect(await client.until("\r\n\r\n")).toBe("HTTP/1.1 200 OK\r\nDate: d\r\n\r\n");
    client.send(get("/inside", closing));
    await client.until("hello");
    expect(far.heads).toEqual([get("/inside", closing)]);
    expect(proxy.heads[0]).toStartWith(`CONNECT ${far.address} HTTP/1.1\r\nHost: ${far.address}\r\n`);
    expect(proxy.heads[0]).toContain("\r\nX-Forwarded-For: 127.0.0.1\r\n");
    expect(proxy.heads[0]).not.toMatch(/proxy-authorization|x-hop|connection|content-length|transfer-encoding/i);
    expect(await metric(it.lb.adminUrl, "lb_tunnels_open")).toBe(1);
    client.end();
    await eventually(async () => (await metric(it.lb.adminUrl, "lb_tunnels_open")) === 0);
    const line = await eventually(() => it.lb.log().find((each) => each.includes('"method":"CONNECT"')));
    expect(JSON.parse(line)).toMatchObject({ path: far.address, route: "proxies", status: 200 });
  });

  test("passes on nothing that comes after its head before the proxy has said yes, and all of it then", async () => {
    const held: RawPeer[] = [];
    using proxy = rawBackend(async (peer) => {
      held.push(peer);
      await eventually(() => peer.isEnded, { timeout: 60_000 });
    });
    await using it = await configured(allowing(proxy, "git.example:22"), 1, atOnce);
    using client = await rawClient(it.lb.url);
    client.send(`${ask("git.example:22")}early|${get("/")}`);
    const peer = await eventually(() => held[0]);
    client.send("later|");
    await eventually(async () => (await metric(it.lb.adminUrl, "lb_requests_in_flight")) === 1);
    expect(peer.received).toBe("");
    peer.send(`${accepted}first|`);
    expect(await client.until("first|")).toBe("HTTP/1.1 200 OK\r\nDate: d\r\n\r\nfirst|");
    expect(await peer.until("later|")).toBe(`early|${get("/")}later|`);
    expect(proxy.heads).toHaveLength(1);
  });

  test("may come by HTTP/1.0, and be answered with a length that means nothing", async () => {
    using proxy = rawBackend(async (peer) => {
      peer.send("HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 3\r\n\r\n");
      peer.send(await peer.until("|"));
    });
    await using it = await configured(allowing(proxy, "git.example:22"), 1, atOnce);
    using client = await rawClient(it.lb.url);
    client.send("CONNECT git.example:22 HTTP/1.0\r\n\r\n");
    expect(await client.until("\r\n\r\n")).toBe("HTTP/1.1 200 OK\r\nDate: d\r\n\r\n");
    client.send("more than three|");
    expect(await client.until("|")).toBe("more than three|");
  });

  test("that the proxy refuses is answered with its response, and nothing after it is taken for a request", async () => {
    using proxy = rawBackend((peer) => peer.send(answer("no", "403 Forbidden", "Date: d")));
    await using it = await configured(`${allowing(proxy, "git.example:22")}\npaths = "/"`, 1);
    expect(await exchange(it.lb.url, ask("git.example:22") + get("/smuggled").repeat(1_000))).toBe(
      "HTTP/1.1 403 Forbidden\r\nDate: d\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno",
    );
    expect(proxy.heads).toHaveLength(1);
    expect(await metric(it.lb.adminUrl, "lb_tunnels_total")).toBe(0);
  });

  test("whose proxy answers nothing is a 504, with a half of an answer a 502", async () => {
    using proxy = rawBackend((peer, head) => {
      if (head.includes("half")) peer.send("HTTP/1.1 200 OK\r\nDa");
      if (head.includes("half")) peer.end();
    });
    await using it = await configured(allowing(proxy, "git.example:22", "half.example:22"), 1, [
      "--first-byte-timeout=300ms",
    ]);
    expect(await exchange(it.lb.url, ask("git.example:22"))).toStartWith("HTTP/1.1 504 ");
    expect(await exchange(it.lb.url, ask("half.example:22"))).toStartWith("HTTP/1.1 502 ");
  });
});

describe("a CONNECT that no service allows", () => {
  const refused = /^HTTP\/1\.1 400 [^]*\r\nConnection: close\r\n[^]*not served here/;

  test("is refused without --config, and so is what follows it", async () => {
    using backend = rawBackend(hello);
    await using lb = await balancer([backend]);
    expect(await exchange(lb.url, ask(backend.address) + get("/"))).toMatch(refused);
    expect(backend.heads).toHaveLength(0);
  });

  test.each(["git.example:23", "x.git.example:22", "127.0.0.1:22", "git.example.:22"])(
    "is refused where one allows another: %s",
    async (authority) => {
      using proxy = rawBackend(hello);
      await using it = await configured(`${allowing(proxy, "git.example:22")}\npaths = "/"`, 1);
      expect(await exchange(it.lb.url, ask(authority) + get("/"))).toMatch(refused);
      expect(proxy.heads).toHaveLength(0);
      expect(await exchange(it.lb.url, get("/", closing))).toEndWith("hello");
    },
  );
});
