/** Who the client is: told by trusted proxies only, never by the client. */
import { describe, expect, test } from "bun:test";

import { peerOf, rewrite } from "../../lb/rewrite.ts";
import { networkTest, parseCidr } from "../../src/std/cidr.ts";
import { RequestParser } from "../../src/wire/http1/request_parser.ts";

const trusted = networkTest([parseCidr("10.0.0.0/8"), parseCidr("::1")]);
const limits = { headBytesMax: 4096, headFieldsMax: 60, targetBytesMax: 100 };

function rewritten(peer: string, ...lines: readonly string[]) {
  return sampled(1, peer, ...lines);
}

function sampled(traceSample: number, peer: string, ...lines: readonly string[]) {
  const head = new RequestParser(limits);
  const bytes = Buffer.from(["GET / HTTP/1.1", "Host: shop.example", ...lines, "", ""].join("\r\n"));
  head.feed(bytes, 0, bytes.length);
  const { requestId, clientAddress, introduction, added } = rewrite(head, peerOf(peer, trusted), {
    trusted,
    traceSample,
  });
  const fields: { [name: string]: string } = {};
  const all = [...introduction.fields, ...added];
  for (let index = 0; index < all.length; index += 2) fields[all[index]!] = all[index + 1]!;
  return { requestId, clientAddress, fields, kept: head.fields.entries() };
}

describe("an untrusted peer", () => {
  const spoofed = [
    "X-Forwarded-For: 1.2.3.4",
    "x-forwarded-proto: https",
    "X-Forwarded-Host: evil.example",
    "X-Forwarded-Port: 1",
    "X-Real-IP: 1.2.3.4",
    "Forwarded: for=1.2.3.4",
    "X_Forwarded_For: 1.2.3.4",
    "X_Real_IP: 1.2.3.4",
    "X-Forwarded-Prefix: /admin",
    "x-forwarded-whatever: 1",
    "X_Forwarded-Whatever: 1",
  ];

  test("is the client, whatever it says", () => {
    const { clientAddress, fields, kept } = rewritten("192.0.2.7", ...spoofed);
    expect(clientAddress).toBe("192.0.2.7");
    expect(kept).toEqual([]);
    expect(fields).toMatchObject({
      "X-Forwarded-For": "192.0.2.7",
      "X-Forwarded-Proto": "http",
      "X-Forwarded-Host": "shop.example",
      Forwarded: 'for=192.0.2.7;host="shop.example";proto=http',
      "X-Real-IP": "192.0.2.7",
    });
  });

  test("keeps what only looks alike", () => {
    const { kept } = rewritten("192.0.2.7", "X-Forwarder: a", "X-Forwarded: b", "Y-Forwarded-For: c");
    expect(kept.map(([name]) => name)).toEqual(["X-Forwarder", "X-Forwarded", "Y-Forwarded-For"]);
  });

  test("is introduced by the host of the moment, however many hosts and clients there are", () => {
    const hosts = ["a.example", "b.example", "a.example", `${"long".repeat(100)}.example`];
    const told = hosts.map((host) => {
      const head = new RequestParser({ ...limits, headBytesMax: 32_768 });
      const bytes = Buffer.from(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      head.feed(bytes, 0, bytes.length);
      return rewrite(head, peerOf("192.0.2.7", trusted), { trusted, traceSample: 1 }).introduction.fields[5];
    });
    expect(told).toEqual(hosts);
    for (let client = 0; client < 10_000; client++) {
      const address = `192.${client >> 8}.${client & 255}.1`;
      expect(rewritten(address).fields["X-Real-IP"]).toBe(address);
    }
  });

  test("is named in its IPv4 form on a dual-stack listener", () => {
    expect(rewritten("::ffff:192.0.2.7").fields["X-Real-IP"]).toBe("192.0.2.7");
  });
});

describe("a trusted proxy", () => {
  test("passes on scheme, host and chain, and is appended to it", () => {
    const { fields, clientAddress } = rewritten(
      "10.0.0.1",
      "X-Forwarded-For: 192.0.2.9",
      "X-Forwarded-Proto: https",
      "X-Forwarded-Host: www.example",
    );
    expect(clientAddress).toBe("192.0.2.9");
    expect(fields).toMatchObject({
      "X-Forwarded-For": "192.0.2.9, 10.0.0.1",
      "X-Forwarded-Proto": "https",
      "X-Forwarded-Host": "www.example",
      Forwarded: 'for=192.0.2.9;host="www.example";proto=https, for=10.0.0.1',
      "X-Real-IP": "192.0.2.9",
    });
  });

  test.each([
    ["the last untrusted address is the client", "1.1.1.1, 192.0.2.9, 10.0.0.2", "192.0.2.9"],
    ["a chain of trusted ones ends at the first", "10.0.0.3, 10.0.0.2", "10.0.0.3"],
    ["what is no address ends the chain", "192.0.2.9, nonsense, 10.0.0.2", "10.0.0.2"],
    ["an empty element ends the chain", "192.0.2.9,, 10.0.0.2", "10.0.0.2"],
    ["IPv6 is an address", "2001:db8::1", "2001:db8::1"],
    ["a port is no part of the address", "1.1.1.1, 192.0.2.9:4711, 10.0.0.2:80", "192.0.2.9"],
    ["nor are brackets", "[2001:db8::1]:4711, 10.0.0.2", "2001:db8::1"],
    ["an IPv4 client in IPv6 form is the IPv4 client", "::ffff:192.0.2.9", "192.0.2.9"],
  ])("%s", (_, chain, client) => {
    expect(rewritten("10.0.0.1", `X-Forwarded-For: ${chain}`).clientAddress).toBe(client);
  });

  test("several fields are one chain", () => {
    const { fields, clientAddress } = rewritten("::1", "X-Forwarded-For: 192.0.2.9", "X-Forwarded-For: 10.0.0.2");
    expect(fields["X-Forwarded-For"]).toBe("192.0.2.9, 10.0.0.2, ::1");
    expect(clientAddress).toBe("192.0.2.9");
  });

  test("cannot name a scheme or host that is none", () => {
    const { fields } = rewritten("10.0.0.1", "X-Forwarded-Proto: ftp", "X-Forwarded-Host: a b/c");
    expect(fields).toMatchObject({ "X-Forwarded-Proto": "http", "X-Forwarded-Host": "shop.example" });
  });
});

describe("what a trusted proxy passes on", () => {
  test("is told to the target in both forms alike, and what is no address is unknown", () => {
    const { fields } = rewritten("10.0.0.1", "X-Forwarded-For: <script>, [2001:db8::1]:4711, 10.0.0.2");
    expect(fields["X-Forwarded-For"]).toBe("unknown, 2001:db8::1, 10.0.0.2, 10.0.0.1");
    expect(fields["Forwarded"]).toBe(
      'for=unknown, for="[2001:db8::1]";host="shop.example";proto=http, for=10.0.0.2, for=10.0.0.1',
    );
  });

  test("may be more than where the client is", () => {
    const { kept } = rewritten(
      "10.0.0.1",
      "X-Forwarded-Prefix: /shop",
      "X-Forwarded-Port: 8443",
      "X_Forwarded_Port: 1",
    );
    expect(kept).toEqual([
      ["X-Forwarded-Prefix", "/shop"],
      ["X-Forwarded-Port", "8443"],
    ]);
  });

  test("is cut to the nearest proxies when the chain is long", () => {
    const chain = Array.from({ length: 50 }, (_, index) => `10.0.1.${index}`);
    const { fields, clientAddress } = rewritten("10.0.0.1", ...chain.map((node) => `X-Forwarded-For: ${node}`));
    expect(fields["X-Forwarded-For"]!.split(", ")).toEqual([...chain.slice(-32), "10.0.0.1"]);
    expect(clientAddress).toBe("10.0.1.18");
  });

  test("counts from the nearest where scheme and host are lists", () => {
    const { fields } = rewritten(
      "10.0.0.1",
      "X-Forwarded-Proto: https, http",
      "X-Forwarded-Host: evil.example, www.example",
    );
    expect(fields).toMatchObject({ "X-Forwarded-Proto": "http", "X-Forwarded-Host": "www.example" });
  });
});

describe("Forwarded from a trusted proxy", () => {
  test.each([
    [
      "the client's element says scheme and host",
      "for=192.0.2.9;proto=https;host=www.example",
      ["192.0.2.9", "https", "www.example"],
    ],
    [
      "names are in any case, values may be quoted",
      'For="192.0.2.9:80";PROTO=https',
      ["192.0.2.9", "https", "shop.example"],
    ],
    ["IPv6 stands in brackets", 'for="[2001:db8::1]:4711"', ["2001:db8::1", "http", "shop.example"]],
    [
      "it is read from the right",
      "for=1.1.1.1;proto=https, for=192.0.2.9, for=10.0.0.2",
      ["192.0.2.9", "http", "shop.example"],
    ],
    ["an obfuscated client ends it", "for=1.1.1.1, for=_hidden, for=10.0.0.2", ["10.0.0.2", "http", "shop.example"]],
    ["a comma in a quoted value separates nothing", 'for="1.1.1.1, 10.0.0.2"', ["10.0.0.1", "http", "shop.example"]],
    [
      "what is not well formed says nothing",
      'for=1.1.1.1;proto=https, for="192.0.2.9',
      ["10.0.0.1", "http", "shop.example"],
    ],
    ["nor what says a thing twice", "for=1.1.1.1;for=192.0.2.9", ["10.0.0.1", "http", "shop.example"]],
    ["empty elements are none", ", for=192.0.2.9,,", ["192.0.2.9", "http", "shop.example"]],
  ])("%s", (_, value, expected) => {
    const { fields, clientAddress } = rewritten("10.0.0.1", `Forwarded: ${value}`);
    expect([clientAddress, fields["X-Forwarded-Proto"], fields["X-Forwarded-Host"]]).toEqual(expected as never);
  });

  test("means nothing beside X-Forwarded-For, which the same proxy wrote", () => {
    const { clientAddress, fields } = rewritten(
      "10.0.0.1",
      "Forwarded: for=6.6.6.6;proto=https",
      "X-Forwarded-For: 192.0.2.9",
    );
    expect([clientAddress, fields["X-Forwarded-Proto"]]).toEqual(["192.0.2.9", "http"]);
  });
});

describe("traceparent", () => {
  const id = "4bf92f3577b34da6a3ce929d0e0e4736";
  const valid = `00-${id}-00f067aa0ba902b7-01`;

  test("is passed on, from whomever it comes, with its tracestate", () => {
    const { fields, kept } = rewritten("192.0.2.7", `traceparent: ${valid}`, "tracestate: a=1");
    expect([fields["traceparent"], kept]).toEqual([valid, [["tracestate", "a=1"]]]);
  });

  test("of a later version goes on in ours", () => {
    const later = `cc-${id}-00f067aa0ba902b7-ff-what-comes-with-it`;
    expect(rewritten("192.0.2.7", `traceparent: ${later}`).fields["traceparent"]).toBe(valid);
  });

  test.each([
    ["nothing", []],
    ["a trace id of zeros", [`00-${"0".repeat(32)}-00f067aa0ba902b7-01`]],
    ["a parent id of zeros", [`00-${id}-0000000000000000-01`]],
    ["upper case", [valid.toUpperCase()]],
    ["version ff", [valid.replace("00-", "ff-")]],
    ["something after version 00", [`${valid}-more`]],
    ["an id too short", [`00-${id.slice(1)}-00f067aa0ba902b7-01`]],
    ["two of them", [valid, valid]],
    ["an empty one", [""]],
  ])("is made for %s, and tracestate dropped", (_, values) => {
    const lines = values.map((value) => `traceparent: ${value}`);
    const { fields, kept } = rewritten("192.0.2.7", ...lines, "tracestate: a=1", "Accept: a/b");
    expect(fields["traceparent"]).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
    expect(fields["traceparent"]).not.toContain(id);
    expect(kept).toEqual([["Accept", "a/b"]]);
  });

  test("is different each time, and marked as sampled as often as asked", () => {
    const made = Array.from({ length: 400 }, () => sampled(0.5, "192.0.2.7").fields["traceparent"]!);
    expect(new Set(made).size).toBe(made.length);
    const share = made.filter((value) => value.endsWith("-01")).length / made.length;
    expect(share).toBeWithin(0.3, 0.7);
    expect(sampled(0, "192.0.2.7").fields["traceparent"]).toEndWith("-00");
  });
});

describe("a request id", () => {
  test("is kept when it is safe", () => {
    const { requestId, fields, kept } = rewritten("192.0.2.7", "X-Request-Id: abc-123");
    expect([requestId, fields["X-Request-Id"], kept]).toEqual(["abc-123", "abc-123", []]);
  });

  test.each(["a b", 'a"b', "x".repeat(200), ""])("is made when it is %j", (id) => {
    expect(rewritten("192.0.2.7", `X-Request-Id: ${id}`).requestId).toMatch(/^[0-9a-f]{8}-[0-9a-z]+$/);
  });

  test("is different each time", () => {
    expect(rewritten("192.0.2.7").requestId).not.toBe(rewritten("192.0.2.7").requestId);
  });
});
