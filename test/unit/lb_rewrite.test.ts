/** Who the client is: told by trusted proxies only, never by the client. */
import { describe, expect, test } from "bun:test";

import { peerOf, rewrite } from "../../lb/rewrite.ts";
import { parseCidr } from "../../src/std/cidr.ts";
import { RequestParser } from "../../src/wire/http1/request_parser.ts";

const trusted = [parseCidr("10.0.0.0/8"), parseCidr("::1")];
const limits = { headBytesMax: 4096, headFieldsMax: 20, targetBytesMax: 100 };

function rewritten(peer: string, ...lines: readonly string[]) {
  const head = new RequestParser(limits);
  const bytes = Buffer.from(["GET / HTTP/1.1", "Host: shop.example", ...lines, "", ""].join("\r\n"));
  head.feed(bytes, 0, bytes.length);
  const { requestId, clientAddress, added } = rewrite(head, peerOf(peer, trusted), trusted);
  const fields: { [name: string]: string } = {};
  for (let index = 0; index < added.length; index += 2) fields[added[index]!] = added[index + 1]!;
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
  ];

  test("is the client, whatever it says", () => {
    const { clientAddress, fields, kept } = rewritten("192.0.2.7", ...spoofed);
    expect(clientAddress).toBe("192.0.2.7");
    expect(kept).toEqual([]);
    expect(fields).toMatchObject({
      "X-Forwarded-For": "192.0.2.7",
      "X-Forwarded-Proto": "http",
      "X-Forwarded-Host": "shop.example",
      "X-Real-IP": "192.0.2.7",
    });
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
      "X-Real-IP": "192.0.2.9",
    });
  });

  test.each([
    ["the last untrusted address is the client", "1.1.1.1, 192.0.2.9, 10.0.0.2", "192.0.2.9"],
    ["a chain of trusted ones ends at the first", "10.0.0.3, 10.0.0.2", "10.0.0.3"],
    ["what is no address ends the chain", "192.0.2.9, nonsense, 10.0.0.2", "10.0.0.2"],
    ["an empty element ends the chain", "192.0.2.9,, 10.0.0.2", "10.0.0.2"],
    ["IPv6 is an address", "2001:db8::1", "2001:db8::1"],
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
