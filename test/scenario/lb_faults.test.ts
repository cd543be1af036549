/** Role lb on what is wrong: malformed requests, applications that misbehave, and what may be sent again. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";

import { errorCodes } from "../../src/std/errors.ts";
import { balancer, closing, get, hello, through } from "../harness/balancer.ts";
import { eventually } from "../harness/eventually.ts";
import { metric } from "../harness/metrics.ts";
import { type ScaleProcess } from "../harness/process.ts";
import { answer, exchange, type RawBackend, rawBackend, rawClient, type Script } from "../harness/raw.ts";
import { limitFlags, refusedChunks, refusedRequests, refusedResponses } from "../wire/refused.ts";

setDefaultTimeout(60_000);

describe("what is malformed", () => {
  let backend: RawBackend;
  let lb: ScaleProcess;
  beforeAll(async () => {
    backend = rawBackend(async (peer, head) => {
      if (head.includes("chunked")) await peer.until("0\r\n\r\n");
      peer.send(answer("hello"));
    });
    lb = await balancer([backend], limitFlags);
  });
  afterAll(async () => {
    await lb.stop();
    backend[Symbol.dispose]();
  });

  async function refusedAs(status: number, bytes: string): Promise<void> {
    const response = await exchange(lb.url, bytes);
    expect(response).toStartWith(`HTTP/1.1 ${status} `);
    expect(response).toContain("\r\nConnection: close\r\n");
    expect(response.match(/HTTP\/1.1 \d/g)).toHaveLength(1);
    expect(backend.heads.join("")).not.toContain("/smuggled");
  }

  test.each(refusedRequests)(
    "in a head is refused, the connection closed, and no application sees it: %s",
    async (_, head, code) => {
      const seen = backend.heads.length;
      await refusedAs(errorCodes[code].status, head + get("/smuggled"));
      expect(backend.heads.length).toBe(seen);
    },
  );

  test.each(refusedChunks)("in a chunked body is refused, and the connection closed: %s", async (_, chunks) => {
    const head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    await refusedAs(400, head + chunks + get("/smuggled"));
  });

  test("is answered after the requests before it", async () => {
    const response = await exchange(lb.url, `${get("/")}${get("/")}nonsense\r\n\r\n`);
    expect(response.match(/HTTP\/1.1 \d+/g)).toEqual(["HTTP/1.1 200", "HTTP/1.1 200", "HTTP/1.1 400"]);
  });

  test("says what it is, as JSON for who asks for it", async () => {
    expect(await exchange(lb.url, "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n")).toContain(
      "400 Host is given twice\nrequest ",
    );
  });
});

describe("an application that misbehaves", () => {
  test.each([
    ["garbage", "garbage\r\n\r\n"],
    ["nothing, and closes", ""],
    ["half a head, and closes", "HTTP/1.1 200 OK\r\nContent-Le"],
    ...refusedResponses,
  ])("and answers %s is answered for with 502", async (_, response) => {
    const script: Script = (peer) => {
      peer.send(response);
      peer.end();
    };
    const received = await through(script, get("/", closing, "Accept: application/json"), limitFlags);
    expect(received).toStartWith("HTTP/1.1 502 Bad Gateway\r\n");
    expect(JSON.parse(received.slice(received.indexOf("\r\n\r\n")))).toMatchObject({
      error: { request: expect.any(String) },
    });
  });

  test.each([
    ["a length", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart"],
    ["chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n"],
  ])("and cuts a response with %s short cuts it short for the client too", async (_, response) => {
    using backend = rawBackend(async (peer) => {
      peer.send(response);
      await eventually(() => client.received.includes("part"));
      peer.end();
    });
    await using lb = await balancer([backend]);
    using client = await rawClient(lb.url);
    client.send(get("/"));
    const received = await client.rest();
    expect(received).toContain("part");
    expect(received).not.toMatch(/\r\n0\r\n\r\n$/);
  });

  test("and sends more than it said loses the connection, not the next client", async () => {
    using backend = rawBackend((peer) =>
      peer.send(`${answer("hello")}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil`),
    );
    await using lb = await balancer([backend]);
    for (let n = 0; n < 5; n++) expect(await exchange(lb.url, get("/", closing))).not.toContain("evil");
    expect(await metric(lb.adminUrl, "lb_target_connects_total")).toBe(5);
  });

  test("and says nothing is answered for with 504", async () => {
    const received = await through(() => undefined, get("/", closing), ["--first-byte-timeout=300ms"]);
    expect(received).toStartWith("HTTP/1.1 504 Gateway Timeout\r\n");
  });

  test("and is not there is answered for with 502 when there is no other, 503 once the checks know", async () => {
    using backend = rawBackend(hello);
    await using lb = await balancer([backend], ["--health-interval=500ms"]);
    backend.stop(true);
    expect(await exchange(lb.url, get("/", closing))).toStartWith("HTTP/1.1 502 ");
    await eventually(async () => (await exchange(lb.url, get("/", closing))).startsWith("HTTP/1.1 503 "));
    expect(await exchange(lb.url, get("/", closing))).toContain("\r\nRetry-After: 1\r\n");
  });
});

describe("a request is sent again", () => {
  test("to another target when one cannot be connected to, whatever its method", async () => {
    using gone = rawBackend(hello);
    using there = rawBackend(async (peer, head) =>
      peer.send(answer(head.startsWith("POST") ? await peer.bytes(5) : "hello")),
    );
    await using lb = await balancer([gone, there], ["--health-interval=60s"]);
    gone.stop(true);
    for (let n = 0; n < 10; n++) {
      expect(
        await exchange(lb.url, "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"),
      ).toContain("hello");
    }
    expect(there.heads).toHaveLength(10);
    expect(await metric(lb.adminUrl, "lb_retries_total")).toBe(5);
  });

  /** Ends without a byte when it is asked for the `nth` time: the first on a new connection, the second on a kept one. */
  const drops =
    (nth: number, counts: { seen: number }): Script =>
    (peer) => {
      if (++counts.seen === nth) peer.reset();
      else peer.send(answer(`answer ${counts.seen}`));
    };

  describe.each([
    ["new", 1, "unanswered"],
    ["kept", 2, "stale"],
  ])("when a %s connection ends without an answer", (_, nth, reason) => {
    test("and the method is safe", async () => {
      const counts = { seen: 0 };
      using one = rawBackend(drops(nth, counts));
      using two = rawBackend(hello);
      await using lb = await balancer([`${one.address},weight=2`, two]);
      for (let n = 0; n < 6; n++) expect(await exchange(lb.url, get("/", closing))).toStartWith("HTTP/1.1 200 OK");
      expect(counts.seen).toBeGreaterThan(1);
      expect(await metric(lb.adminUrl, "lb_retries_total", { reason })).toBe(1);
      await eventually(() => lb.log().filter((line) => line.includes('"retries":1')).length === 1);
    });

    test("but never a POST", async () => {
      const counts = { seen: 0 };
      using one = rawBackend(drops(nth, counts));
      using two = rawBackend(hello);
      await using lb = await balancer([`${one.address},weight=2`, two]);
      const post = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
      const statuses: string[] = [];
      for (let n = 0; n < 6; n++) statuses.push((await exchange(lb.url, post)).slice(9, 12));
      expect(statuses.filter((status) => status === "502")).toHaveLength(1);
      expect(one.heads.length + two.heads.length).toBe(6);
      const line = await eventually(() => lb.log().find((each) => each.includes('"status":502')));
      expect(JSON.parse(line)).not.toHaveProperty("retries");
    });
  });
});
