/** Role lb on requests whose bodies are refused, waited for, cut off or never sent: the answer arrives, and nothing leaks into the next request. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";

import { balancer, closing, get, hello } from "../harness/balancer.ts";
import { eventually } from "../harness/eventually.ts";
import { startScale } from "../harness/process.ts";
import { answer, exchange, rawBackend, rawClient, type RawPeer } from "../harness/raw.ts";

setDefaultTimeout(60_000);

const post = (length: number, ...lines: readonly string[]) =>
  ["POST / HTTP/1.1", "Host: a", `Content-Length: ${length}`, ...lines, "", ""].join("\r\n");
const chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
const refusal = answer("too much", "413 Content Too Large");

describe("an upload refused midway", () => {
  test.each([
    ["and goes on reading", () => undefined],
    ["and closes at once", (peer: RawPeer) => peer.end()],
    ["and resets at once", (peer: RawPeer) => peer.reset()],
  ])("by a target that answers %s: the answer arrives, the connection closes", async (_, then) => {
    using backend = rawBackend(async (peer) => {
      await peer.bytes(1_000);
      peer.send(refusal);
      then(peer);
    });
    await using lb = await balancer([backend]);
    using client = await rawClient(lb.url);
    client.send(post(100_000) + "x".repeat(2_000));
    const response = await client.until("too much");
    expect(response).toStartWith("HTTP/1.1 413 Content Too Large\r\n");
    expect(response).toContain("\r\nConnection: close\r\n");
    client.send("x".repeat(50_000) + get("/smuggled"));
    await client.rest();
    expect(backend.heads).toHaveLength(1);
  });

  test("and never ended is read up to a limit, then the connection closes", async () => {
    using backend = rawBackend((peer) => peer.send(refusal));
    await using lb = await balancer([backend]);
    using client = await rawClient(lb.url);
    client.send(post(1024 ** 3) + "x".repeat(1_000));
    await client.until("too much");
    client.send(Buffer.alloc(32 * 1024 ** 2));
    await client.rest();
  });

  test("by role app reaches the client", async () => {
    const entry = `${import.meta.dir}/fixtures/entry.ts`;
    await using app = await startScale(["--role=app", entry, "--drain-delay=0", "--body-bytes-max=1KiB"]);
    await using lb = await balancer([new URL(app.url).host]);
    using client = await rawClient(lb.url);
    client.send(post(8 * 1024 ** 2));
    client.send(Buffer.alloc(8 * 1024 ** 2));
    expect(await client.rest()).toStartWith("HTTP/1.1 413 ");
  });
});

describe("--body-bytes-max", () => {
  test.each([
    ["a length that says so at once", `${post(1025)}${"x".repeat(1025)}`],
    ["chunks as they come", `${chunked}400\r\n${"x".repeat(1024)}\r\n1\r\nx\r\n0\r\n\r\n`],
  ])("refuses with 413 %s, and serves nothing more on the connection", async (_, request) => {
    using backend = rawBackend(async (peer, head) => {
      if (head.includes("chunked")) await peer.until("0\r\n\r\n");
      peer.send(answer("hello"));
    });
    await using lb = await balancer([backend], ["--body-bytes-max=1KiB"]);
    const response = await exchange(lb.url, request + get("/smuggled"));
    expect(response).toStartWith("HTTP/1.1 413 Content Too Large\r\n");
    expect(response.match(/HTTP\/1.1 \d/g)).toHaveLength(1);
    expect(backend.heads.join("")).not.toContain("/smuggled");
    expect(await exchange(lb.url, `${post(1024, closing)}${"x".repeat(1024)}`)).toStartWith("HTTP/1.1 200 ");
  });
});

describe("Expect: 100-continue", () => {
  test("refused without the body: the answer arrives, and what may or may not follow is nobody's request", async () => {
    using backend = rawBackend((peer) => peer.send(refusal));
    await using lb = await balancer([backend]);
    using client = await rawClient(lb.url);
    client.send(post(5, "Expect: 100-continue"));
    expect(await client.until("too much")).toContain("\r\nConnection: close\r\n");
    client.send(`hello${get("/smuggled")}`);
    await client.rest();
    expect(backend.heads).toHaveLength(1);
  });

  test("from a client that does not wait: the body goes on at once", async () => {
    using backend = rawBackend(async (peer) => peer.send(answer(await peer.bytes(5))));
    await using lb = await balancer([backend]);
    expect(await exchange(lb.url, `${post(5, "Expect: 100-continue", closing)}hello`)).toEndWith("hello");
  });

  test("interim responses pass as they come, and none to HTTP/1.0", async () => {
    using backend = rawBackend((peer) =>
      peer.send(
        `HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\nKeep-Alive: 1\r\n\r\n${answer("done", "200 OK", "Date: d")}`,
      ),
    );
    await using lb = await balancer([backend]);
    expect(await exchange(lb.url, get("/", closing))).toBe(
      "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" +
        "HTTP/1.1 200 OK\r\nDate: d\r\nConnection: close\r\nContent-Length: 4\r\n\r\ndone",
    );
    expect(await exchange(lb.url, "GET / HTTP/1.0\r\n\r\n")).toStartWith("HTTP/1.1 200 OK\r\n");
  });
});

describe("a client that is slow", () => {
  test("to send a body is told so after --body-timeout, in whatever small pieces it sends", async () => {
    using backend = rawBackend((peer) => peer.bytes(1_000).then(() => peer.send(answer("all"))));
    await using lb = await balancer([backend], ["--body-timeout=1s", "--body-bytes-per-second-min=1KiB"]);
    using client = await rawClient(lb.url);
    client.send(post(1_000));
    const trickle = setInterval(() => client.send("x"), 50);
    const response = await client.rest();
    clearInterval(trickle);
    expect(response).toStartWith("HTTP/1.1 408 Request Timeout\r\n");
  });

  test("to take a response is cut off after --body-timeout, and the target hears of it", async () => {
    using backend = rawBackend((peer) => peer.send(answer("x".repeat(64 * 1024 ** 2))));
    await using lb = await balancer([backend], ["--body-timeout=500ms"]);
    using client = await rawClient(lb.url);
    client.pause();
    client.send(get("/"));
    await eventually(() => lb.log().some((line) => line.includes('"error":"client_timeout"')));
    client.resume();
    expect((await client.rest()).length).toBeLessThan(64 * 1024 ** 2);
  });

  test("to send a head is told so after --header-timeout, and one that sends none is closed", async () => {
    using backend = rawBackend(hello);
    await using lb = await balancer([backend], ["--header-timeout=500ms"]);
    using slow = await rawClient(lb.url);
    using silent = await rawClient(lb.url);
    slow.send("GET / HTTP/1.1\r\nHost: a\r\n");
    const trickle = setInterval(() => slow.send("X: y\r\n"), 50);
    expect(await slow.rest()).toStartWith("HTTP/1.1 408 Request Timeout\r\n");
    clearInterval(trickle);
    expect(await silent.rest()).toBe("");
  });

  test("because its stream is silent is not: neither is its server, until --response-idle-timeout", async () => {
    using backend = rawBackend(async (peer, head) => {
      peer.send(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n6\r\ndata 1\r\n",
      );
      if (head.includes("/dead")) return;
      await Bun.sleep(1_200);
      peer.send("6\r\ndata 2\r\n0\r\n\r\n");
    });
    await using lb = await balancer(
      [backend],
      ["--body-timeout=300ms", "--first-byte-timeout=300ms", "--response-idle-timeout=2s"],
    );
    expect(await exchange(lb.url, get("/events", closing))).toEndWith("6\r\ndata 2\r\n0\r\n\r\n");
    expect(await exchange(lb.url, get("/dead", closing))).toEndWith("6\r\ndata 1\r\n");
    await eventually(() => lb.log().some((line) => line.includes('"error":"upstream_timeout"')));
  });
});
