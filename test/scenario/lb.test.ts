/** Role lb on well-formed traffic: the compiled binary between scripts of bytes. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";

import { balancer, closing, get, hello, through } from "../harness/balancer.ts";
import { eventually } from "../harness/eventually.ts";
import { metric } from "../harness/metrics.ts";
import { answer, exchange, rawBackend, rawClient } from "../harness/raw.ts";

setDefaultTimeout(60_000);

/** An application that needs no script. */
function quick(): Disposable & { readonly address: string } {
  const server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response("hello") });
  return { address: `127.0.0.1:${server.port}`, [Symbol.dispose]: () => void server.stop(true) };
}

describe("requests and responses", () => {
  test("reach the application as a fresh head that says who the client is, and come back without what is of the hop", async () => {
    using backend = rawBackend((peer) =>
      peer.send(
        answer("hello", "200 Fine", "Keep-Alive: timeout=5", "Connection: x-hop", "X-Hop: 1", "ETag: e", "Date: d"),
      ),
    );
    await using lb = await balancer([backend]);
    const request = get(
      "/a?b=%20",
      closing,
      "Connection: x-mine",
      "X-Mine: 1",
      "Accept:text/html",
      "Upgrade: h2c",
      "TE: gzip",
      "X-Request-Id: r-1",
      "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    );
    expect(await exchange(lb.url, request)).toBe(
      "HTTP/1.1 200 OK\r\nETag: e\r\nDate: d\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
    );
    expect(backend.heads).toEqual([
      "GET /a?b=%20 HTTP/1.1\r\nHost: shop.example\r\nAccept: text/html\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\n" +
        'X-Forwarded-Host: shop.example\r\nForwarded: for=127.0.0.1;host="shop.example";proto=http\r\nX-Real-IP: 127.0.0.1\r\n' +
        "X-Request-Id: r-1\r\ntraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n",
    ]);
  });

  test("a response without Date gets one", async () => {
    expect(await through(hello, get("/", closing))).toMatch(/\r\nDate: \w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT\r\n/);
  });

  test("what a client claims of itself is believed only from --trusted-proxies", async () => {
    using backend = rawBackend(hello);
    await using lb = await balancer([backend], ["--trusted-proxies=192.0.2.0/24"]);
    await exchange(
      lb.url,
      get(
        "/",
        closing,
        "X-Forwarded-For: 1.2.3.4",
        "X-Forwarded-Proto: https",
        "X_Real_IP: 1.2.3.4",
        "Forwarded: for=1.2.3.4",
      ),
    );
    expect(backend.heads[0]).toContain("X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\n");
    expect(backend.heads[0]).not.toContain("1.2.3.4");
  });

  test("pipelined requests are answered in order, whatever takes how long", async () => {
    using backend = rawBackend(async (peer, head) => {
      const path = head.split(" ")[1]!;
      if (path === "/slow") await eventually(() => backend.heads.length > 0 && Bun.sleep(50).then(() => true));
      peer.send(answer(path));
    });
    await using lb = await balancer([backend]);
    using client = await rawClient(lb.url);
    client.send(
      get("/slow") + get("/2") + "POST /3 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" + get("/4", closing),
    );
    const bodies = (await client.rest()).split(/HTTP\/1.1 200 OK\r\n(?:.+\r\n)+\r\n/).slice(1);
    expect(bodies).toEqual(["/slow", "/2", "/3", "/4"]);
  });

  test("a thousand pipelined requests are answered on one connection", async () => {
    using app = quick();
    await using lb = await balancer([app.address]);
    using client = await rawClient(lb.url);
    client.send(get("/").repeat(999) + get("/", closing));
    expect((await client.rest()).match(/HTTP\/1.1 200 OK/g)).toHaveLength(1000);
  });

  test("a client that pipelines and does not read is made to wait, and gets every answer when it does", async () => {
    const body = "x".repeat(20_000);
    const server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response(body) });
    await using lb = await balancer([`127.0.0.1:${server.port}`]);
    using client = await rawClient(lb.url);
    client.pause();
    client.send(get("/").repeat(1999) + get("/", closing));
    await eventually(() => metric(lb.adminUrl, "lb_bytes_total"));
    client.resume();
    expect((await client.rest()).match(/HTTP\/1.1 200 OK/g)).toHaveLength(2000);
    await server.stop(true);
  });

  test("connections are kept alive on both sides", async () => {
    using backend = rawBackend(hello);
    await using lb = await balancer([backend], ["--health-interval=60s"]);
    using client = await rawClient(lb.url);
    for (let n = 0; n < 20; n++) {
      client.send(get("/"));
      await client.until("hello");
    }
    expect(backend.heads).toHaveLength(20);
    expect(await metric(lb.adminUrl, "lb_target_connects_total")).toBe(1);
  });

  test("HTTP/1.0 that names no host reaches a target under the target's own name", async () => {
    const server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: ({ url, headers }) =>
        Response.json({ url, host: headers.get("host"), told: headers.get("x-forwarded-host") }),
    });
    const address = `127.0.0.1:${server.port}`;
    await using lb = await balancer([address], ["--health-status=200-599"]);
    const response = await exchange(lb.url, "GET /x HTTP/1.0\r\n\r\n");
    expect(JSON.parse(response.slice(response.indexOf("\r\n\r\n")))).toEqual({
      url: `http://${address}/x`,
      host: address,
      told: null,
    });
    await server.stop(true);
  });

  test("HTTP/1.0 gets a connection that ends with the body, or persists when it asks and the length is known", async () => {
    using backend = rawBackend((peer, head) =>
      peer.send(
        head.includes("/chunked")
          ? "HTTP/1.1 200 OK\r\nDate: d\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
          : answer("hello", "200 OK", "Date: d"),
      ),
    );
    await using lb = await balancer([backend]);
    expect(await exchange(lb.url, "GET /chunked HTTP/1.0\r\n\r\n")).toBe(
      "HTTP/1.1 200 OK\r\nDate: d\r\nConnection: close\r\n\r\nhello",
    );
    const persistent = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    expect(await exchange(lb.url, `${persistent}GET / HTTP/1.0\r\n\r\n`)).toBe(
      "HTTP/1.1 200 OK\r\nDate: d\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello" +
        "HTTP/1.1 200 OK\r\nDate: d\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
    );
  });
});

describe("bodies", () => {
  test.each([
    [
      "HEAD has none, whatever length it declares",
      "HEAD",
      "HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 5\r\n\r\n",
      "200 OK\r\nDate: d\r\nContent-Length: 5",
    ],
    ["204 has none and no length", "GET", "HTTP/1.1 204 No Content\r\nDate: d\r\n\r\n", "204 No Content\r\nDate: d"],
    [
      "304 has none",
      "GET",
      "HTTP/1.1 304 Not Modified\r\nDate: d\r\nETag: e\r\nContent-Length: 5\r\n\r\n",
      "304 Not Modified\r\nDate: d\r\nETag: e\r\nContent-Length: 5",
    ],
  ])("%s, and the connection goes on", async (_, method, response, wanted) => {
    using backend = rawBackend((peer, head) =>
      peer.send(head.includes(" /first ") ? response : answer("next", "200 OK", "Date: d")),
    );
    await using lb = await balancer([backend]);
    const both = `${method} /first HTTP/1.1\r\nHost: a\r\n\r\n${get("/", closing)}`;
    expect(await exchange(lb.url, both)).toBe(
      `HTTP/1.1 ${wanted}\r\n\r\nHTTP/1.1 200 OK\r\nDate: d\r\nConnection: close\r\nContent-Length: 4\r\n\r\nnext`,
    );
  });

  test("chunks are made anew: extensions and trailers end here, both ways", async () => {
    let sent = "";
    const response = await through(async (peer) => {
      sent = await peer.until("0\r\n\r\n");
      peer.send(
        "HTTP/1.1 200 OK\r\nDate: d\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 1\r\n\r\n",
      );
    }, "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n0005;a=b\r\nhello\r\n0\r\nT: 1\r\n\r\n");
    expect(sent).toBe("5\r\nhello\r\n0\r\n\r\n");
    expect(response).toBe(
      "HTTP/1.1 200 OK\r\nDate: d\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
    );
  });

  test("trailers pass both ways when the request asks for them, and those that may not be trailers never", async () => {
    const trailers =
      "X-Sum: 1\r\nContent-Length: 9\r\nAuthorization: x\r\nX-Forwarded-For: 6.6.6.6\r\nconnection: close\r\nY:2\r\n";
    let sent = "";
    using backend = rawBackend(async (peer) => {
      sent = await peer.until("Y: 2\r\n\r\n");
      peer.send(`HTTP/1.1 200 OK\r\nDate: d\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n${trailers}\r\n`);
    });
    await using lb = await balancer([backend]);
    const head =
      "POST / HTTP/1.1\r\nHost: a\r\nConnection: close, TE\r\nTE: gzip;q=0.5, trailers\r\nTransfer-Encoding: chunked\r\n\r\n";
    const response = await exchange(lb.url, `${head}5\r\nhello\r\n0\r\n${trailers}\r\n`);
    expect(backend.heads[0]).toContain("\r\nTE: trailers\r\nConnection: TE\r\n");
    expect(sent).toBe("5\r\nhello\r\n0\r\nX-Sum: 1\r\nY: 2\r\n\r\n");
    expect(response).toEndWith("3\r\nabc\r\n0\r\nX-Sum: 1\r\nY: 2\r\n\r\n");
  });

  test("pass chunk by chunk as they come, never collected", async () => {
    using backend = rawBackend(async (peer) => {
      peer.send("HTTP/1.1 200 OK\r\nDate: d\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
      peer.send("6\r\ndata 1\r\n");
      await peer.until("go on");
    });
    await using lb = await balancer([backend]);
    using client = await rawClient(lb.url);
    client.send(get("/events"));
    expect(await client.until("data 1\r\n")).toContain("text/event-stream");
  });

  test("Expect: 100-continue is the application's to answer", async () => {
    using backend = rawBackend(async (peer, head) => {
      if (!head.includes("Expect: 100-continue")) return peer.send(answer("no expectation", "400 Bad Request"));
      peer.send("HTTP/1.1 100 Continue\r\n\r\n");
      peer.send(answer(`got ${await peer.bytes(5)}`));
    });
    await using lb = await balancer([backend]);
    using client = await rawClient(lb.url);
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    expect(await client.until("\r\n\r\n")).toBe("HTTP/1.1 100 Continue\r\n\r\n");
    client.send("hello");
    expect(await client.until("hello")).toContain("200 OK");
  });

  test("an upload refused midway: the answer arrives, the connection closes, the rest leaks into nothing", async () => {
    using backend = rawBackend(async (peer) => {
      await peer.bytes(1_000);
      peer.send(answer("too much", "413 Content Too Large"));
    });
    await using lb = await balancer([backend]);
    using client = await rawClient(lb.url);
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
    client.send("x".repeat(2_000));
    const response = await client.until("too much");
    expect(response).toContain("413 Content Too Large");
    expect(response).toContain("Connection: close");
    client.send("x".repeat(50_000) + get("/smuggled"));
    await client.rest();
    expect(backend.heads).toHaveLength(1);
  });

  test("large ones pass in both directions with back-pressure: memory stays flat, nothing is lost", async () => {
    using app = largeBodies();
    await using lb = await balancer([`127.0.0.1:${app.server.port}`]);
    const before = await metric(lb.adminUrl, "process_resident_memory_bytes");
    await Promise.all([slowDownload(`${lb.url}/download`, bigBytes), upload(`${lb.url}/slow-upload`)]);
    const grown = ((await metric(lb.adminUrl, "process_resident_memory_bytes")) - before) / 1024 ** 2;
    expect(grown).toBeLessThan(64);
  });
});

const bigBytes = 200 * 1024 ** 2;

/** An application that sends and reads large bodies, the latter slowly. */
function largeBodies(): Disposable & { readonly server: Bun.Server<undefined> } {
  const piece = new Uint8Array(1024 ** 2).fill(97);
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    maxRequestBodySize: 2 * bigBytes,
    routes: {
      "/readyz": new Response("ok"),
      "/download": () => {
        let left = bigBytes / piece.length;
        return new Response(
          new ReadableStream({ pull: (controller) => (left-- > 0 ? controller.enqueue(piece) : controller.close()) }),
        );
      },
      "/slow-upload": async (request) => {
        let bytes = 0;
        for await (const part of request.body!) {
          bytes += part.length;
          if (bytes % 64 === 0) await Bun.sleep(1);
        }
        return new Response(String(bytes));
      },
    },
  });
  return { server, [Symbol.dispose]: () => void server.stop(true) };
}

async function slowDownload(url: string, wanted: number): Promise<void> {
  let bytes = 0;
  for await (const part of (await fetch(url)).body!) {
    bytes += part.length;
    if (bytes % 16 === 0) await Bun.sleep(1);
  }
  expect(bytes).toBe(wanted);
}

async function upload(url: string): Promise<void> {
  const body = new Uint8Array(100 * 1024 ** 2);
  const response = await fetch(url, { method: "POST", body });
  expect(await response.text()).toBe(String(body.length));
}
