/** How often, and how much at a time, one client may ask: by its address or by a header, in a table that nobody can push others out of. */
import { describe, expect, test } from "bun:test";

import { type Connection, Connections } from "../../lb/connections.ts";
import { Limits } from "../../lb/limit/limits.ts";
import { RateLimit } from "../../lb/limit/rate_limit.ts";
import { peerOf } from "../../lb/rewrite.ts";
import { rateLimit } from "../../src/config/kinds.ts";
import { RequestParser } from "../../src/wire/http1/request_parser.ts";

const second = 1_000;

/** At these times (ms), each asking once: how long each is told to wait. */
function waits(limit: RateLimit, client: string, times: readonly number[]): number[] {
  return times.map((now) => limit.take(client, now));
}

describe("a bucket", () => {
  const perSecond = { burst: 3, millisecondsPerToken: 500 };

  test.each([
    ["gives its burst at once, then makes wait until there is a token", [0, 0, 0, 0, 0], [0, 0, 0, 500, 500]],
    ["gives again as time passes", [0, 0, 0, 500, 500, 999, 1_000], [0, 0, 0, 0, 500, 1, 0]],
    [
      "is full again after a while, and holds no more than its burst",
      [0, 0, 0, 9_000, 9_000, 9_000, 9_000],
      [0, 0, 0, 0, 0, 0, 500],
    ],
    ["costs nothing when it refuses", [0, 0, 0, 1, 2, 3, 500], [0, 0, 0, 499, 498, 497, 0]],
  ])("%s", (_, times, expected) => {
    expect(waits(new RateLimit(perSecond), "a", times)).toEqual(expected);
  });

  test("is each client's own", () => {
    const limit = new RateLimit({ burst: 1, millisecondsPerToken: second });
    expect([limit.take("a", 0), limit.take("b", 0), limit.take("a", 0)]).toEqual([0, 0, second]);
  });
});

describe("a table that is full", () => {
  const most = 10;
  const spread = (limit: RateLimit, now: number, clients: number) =>
    Array.from({ length: clients }, (_, index) => limit.take(`new-${now}-${index}`, now));

  test("holds who is in it: ever new names do not push a bucket out", () => {
    const limit = new RateLimit({ burst: 1, millisecondsPerToken: 60 * second }, most);
    limit.take("heavy", 0);
    spread(limit, 1, 10 * most);
    spread(limit, 2 * second, 10 * most);
    expect(limit.buckets).toBe(most);
    expect(limit.take("heavy", 3 * second)).toBe(57 * second);
  });

  test("makes those without a bucket share", () => {
    const limit = new RateLimit({ burst: 1, millisecondsPerToken: 60 * second }, most);
    spread(limit, 0, most);
    const passed = spread(limit, 1, 20_000).filter((wait) => wait === 0).length;
    expect(passed).toBeWithin(500, 1_025);
  });

  test("has room again when buckets are full again", () => {
    const limit = new RateLimit({ burst: 1, millisecondsPerToken: 5 * second }, most);
    spread(limit, 0, most);
    spread(limit, 5 * second, 3);
    expect(limit.buckets).toBe(3);
  });
});

function request(...lines: readonly string[]): RequestParser {
  const head = new RequestParser({ headBytesMax: 4096, headFieldsMax: 20, targetBytesMax: 100 });
  const bytes = Buffer.from(["GET / HTTP/1.1", "Host: a", ...lines, "", ""].join("\r\n"));
  head.feed(bytes, 0, bytes.length);
  return head;
}

/** The statuses of one request each, at one time: address and lines of the head. */
function enter(limits: Limits, ...requests: readonly (readonly [string, ...string[]])[]): (number | undefined)[] {
  return requests.map(([address, ...lines]) => limits.enter(address, request(...lines), 0)?.status);
}

describe("a client", () => {
  const rate = (text: string) => new Limits({ rateLimit: rateLimit.parse(text), requestsPerClientMax: 0 });

  test("is its address", () => {
    expect(enter(rate("1/s"), ["192.0.2.1"], ["192.0.2.2"], ["192.0.2.1"])).toEqual([undefined, undefined, 429]);
  });

  test("is its network where it has as many addresses as it likes", () => {
    const three = enter(rate("1/s"), ["2001:db8::1"], ["2001:db8::2"], ["2001:db8:0:1::1"]);
    expect(three).toEqual([undefined, 429, undefined]);
  });

  test("is what the header says, in any case of its name, and its address without it", () => {
    const key = "x-api-key: 1";
    const limits = rate("1/s,by=header:X-Api-Key");
    expect(enter(limits, ["192.0.2.1", key], ["192.0.2.2", "X-API-KEY: 1"], ["192.0.2.1"], ["192.0.2.1"])).toEqual([
      undefined,
      429,
      undefined,
      429,
    ]);
  });

  test("is told when to come back", () => {
    const limits = rate("2/m");
    enter(limits, ["192.0.2.1"], ["192.0.2.1"]);
    expect(limits.enter("192.0.2.1", request(), 500)?.retryAfterSeconds).toBe(30);
    expect(limits.refused).toEqual({ rate: 1, concurrency: 0 });
  });

  test("has so many requests at a time", () => {
    const limits = new Limits({ rateLimit: undefined, requestsPerClientMax: 2 });
    expect(enter(limits, ["192.0.2.1"], ["192.0.2.1"], ["192.0.2.1"], ["192.0.2.2"])).toEqual([
      undefined,
      undefined,
      429,
      undefined,
    ]);
    limits.leave("192.0.2.1");
    expect(enter(limits, ["192.0.2.1"], ["192.0.2.1"])).toEqual([undefined, 429]);
    expect(limits.refused.concurrency).toBe(2);
  });
});

describe("connections of one client", () => {
  const of = (address: string) => peerOf(address, () => false);
  const connectionOf = (address: string): Connection => ({
    peer: of(address),
    deadline: Number.POSITIVE_INFINITY,
    expire: () => undefined,
    drain: () => undefined,
    close: () => undefined,
    failed: () => undefined,
  });

  test.each([
    ["the same IPv4 address", "192.0.2.1", "192.0.2.1", true],
    ["its neighbour", "192.0.2.1", "192.0.2.2", false],
    ["IPv4 as a dual-stack listener reports it", "192.0.2.1", "::ffff:192.0.2.1", true],
    ["another address of an IPv6 subscriber's network", "2001:db8::1", "2001:db8::ffff:2", true],
    ["another IPv6 subscriber", "2001:db8::1", "2001:db8:0:1::1", false],
  ])("are counted together with %s: %s, %s: %p", (_, first, second, isSame) => {
    const connections = new Connections({ connectionsMax: 10, connectionsPerClientMax: 1 });
    const connection = connectionOf(first);
    connections.add(connection);
    expect(connections.refusal(of(second))).toBe(isSame ? "connections_per_client_max" : undefined);
    connections.delete(connection);
    expect(connections.refusal(of(second))).toBeUndefined();
  });
});

describe("a rate", () => {
  test.each([
    ["100/s", { burst: 100, millisecondsPerToken: 10, header: undefined }],
    ["600/m,burst=20", { burst: 20, millisecondsPerToken: 100, header: undefined }],
    ["1/10s,by=address", { burst: 1, millisecondsPerToken: 10_000, header: undefined }],
    ["5/h,burst=2,by=header:X-Api-Key", { burst: 2, millisecondsPerToken: 720_000, header: "x-api-key" }],
  ])("is %s", (text, expected) => {
    expect(rateLimit.parse(text)).toEqual(expected);
  });

  test.each(["", "100", "0/s", "1/0s", "1/d", "1.5/s", "1/s,burst=0", "1/s,by=cookie", "1/s,by=header:", "1/s,x=1"])(
    "is not %j",
    (text) => {
      expect(() => rateLimit.parse(text)).toThrow("a rate such as 100/s");
    },
  );
});
