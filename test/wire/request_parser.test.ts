/** Request heads byte by byte: what is accepted reads one way only, what is refused is refused however the network splits it. */
import { describe, expect, test } from "bun:test";

import { ScaleError } from "../../src/std/errors.ts";
import { incomplete } from "../../src/wire/http1/head_parser.ts";
import { RequestParser } from "../../src/wire/http1/request_parser.ts";
import { length } from "../../src/wire/message.ts";
import { limits, refusedRequests } from "./refused.ts";

/** Feeds `text` in two pieces cut at `cut`; returns the parser and the bytes left over. */
function parse(text: string, cut = 0): { parser: RequestParser; rest: string } {
  const parser = new RequestParser(limits);
  const bytes = Buffer.from(text, "latin1");
  if (cut > 0) {
    const after = parser.feed(bytes.subarray(0, cut), 0, cut);
    if (after !== incomplete) return { parser, rest: text.slice(after) };
  }
  const second = bytes.subarray(cut);
  const after = parser.feed(second, 0, second.length);
  expect(after).not.toBe(incomplete);
  return { parser, rest: text.slice(cut + after) };
}

function errorOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof ScaleError) return error.code;
    throw error;
  }
  return "accepted";
}

interface Accepted {
  readonly method?: string;
  readonly target?: string;
  readonly authority?: string;
  readonly fields?: readonly (readonly [string, string])[];
  readonly bodyLength?: number;
  readonly keepsAlive?: boolean;
  readonly minorVersion?: 0 | 1;
  readonly expectsContinue?: boolean;
  readonly acceptsTrailers?: boolean;
  readonly upgrade?: string;
}

const accepted: readonly (readonly [promise: string, head: string, Accepted])[] = [
  [
    "a plain GET",
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    { method: "GET", target: "/", authority: "a", bodyLength: length.none },
  ],
  ["an unknown method", "BREW /pot HTTP/1.1\r\nHost: a\r\n\r\n", { method: "BREW", target: "/pot" }],
  ["a port", "GET / HTTP/1.1\r\nHost: a.example:8080\r\n\r\n", { authority: "a.example:8080" }],
  ["an IPv6 host", "GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", { authority: "[::1]:8080" }],
  ["an encoded path and a query", "GET /a%20b?c=d&e HTTP/1.1\r\nHost: a\r\n\r\n", { target: "/a%20b?c=d&e" }],
  ["HTTP/1.0 without Host", "GET / HTTP/1.0\r\n\r\n", { minorVersion: 0, keepsAlive: false, authority: "" }],
  ["HTTP/1.0 that asks to persist", "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", { keepsAlive: true }],
  ["Connection: close", "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", { keepsAlive: false, fields: [] }],
  [
    "close wins over keep-alive",
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: close, keep-alive\r\nConnection: keep-alive\r\n\r\n",
    { keepsAlive: false },
  ],
  [
    "absolute-form, whose host replaces Host",
    "GET http://b.example:81/x?y HTTP/1.1\r\nHost: a\r\n\r\n",
    { target: "/x?y", authority: "b.example:81" },
  ],
  ["absolute-form without a path", "GET http://b HTTP/1.1\r\nHost: a\r\n\r\n", { target: "/", authority: "b" }],
  ["absolute-form with a query only", "GET http://b?q HTTP/1.1\r\nHost: a\r\n\r\n", { target: "/?q" }],
  ["OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", { target: "*" }],
  ["OPTIONS * in absolute-form", "OPTIONS http://b HTTP/1.1\r\nHost: a\r\n\r\n", { target: "*", authority: "b" }],
  [
    "white space around a value",
    "GET / HTTP/1.1\r\nHost:\t a \t\r\nX: \r\n\r\n",
    { authority: "a", fields: [["X", ""]] },
  ],
  ["bytes above 0x7f in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: \xe9\xff\r\n\r\n", { fields: [["X", "\xe9\xff"]] }],
  ["one empty line before the request", "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", { target: "/" }],
  ["a length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", { bodyLength: 5, fields: [] }],
  ["a length of 0", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", { bodyLength: 0 }],
  [
    "a length given twice alike",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\ncontent-length: 5\r\n\r\n",
    { bodyLength: 5 },
  ],
  [
    "chunked",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n",
    { bodyLength: length.unknown, fields: [] },
  ],
  [
    "Expect with a body to come",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
    { expectsContinue: true },
  ],
  [
    "Expect in HTTP/1.0, which has none",
    "POST / HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
    { expectsContinue: false, fields: [] },
  ],
  [
    "TE with trailers in its list",
    "GET / HTTP/1.1\r\nHost: a\r\nTE: gzip;q=0.5, Trailers\r\n\r\n",
    { acceptsTrailers: true, fields: [] },
  ],
  ["TE without", "GET / HTTP/1.1\r\nHost: a\r\nTE: xtrailers, trailers;q=1\r\n\r\n", { acceptsTrailers: false }],
  [
    "an upgrade",
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n",
    { upgrade: "websocket", keepsAlive: true, fields: [] },
  ],
  ["an upgrade that Connection does not name", "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\n\r\n", { upgrade: "" }],
  ["an upgrade in HTTP/1.0", "GET / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n", { upgrade: "" }],
  [
    "an upgrade with a body",
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\nTransfer-Encoding: chunked\r\n\r\n",
    { upgrade: "" },
  ],
  [
    "CONNECT",
    "CONNECT a.example:22 HTTP/1.1\r\nHost: a.example:22\r\n\r\n",
    { method: "CONNECT", target: "a.example:22", authority: "a.example:22", bodyLength: length.none },
  ],
  [
    "CONNECT with a Host that leaves the port out",
    "CONNECT A.example:22 HTTP/1.1\r\nHost: a.Example\r\n\r\n",
    { target: "A.example:22", authority: "A.example:22" },
  ],
  ["CONNECT to IPv6", "CONNECT [::1]:22 HTTP/1.1\r\nHost: [::1]:22\r\n\r\n", { authority: "[::1]:22" }],
  ["CONNECT in HTTP/1.0", "CONNECT a:22 HTTP/1.0\r\n\r\n", { authority: "a:22", minorVersion: 0 }],
  [
    "an upgrade with CONNECT",
    "CONNECT a:22 HTTP/1.1\r\nHost: a:22\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
    { upgrade: "", fields: [] },
  ],
  ["Expect without a body", "GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n", { expectsContinue: false }],
  [
    "fields of the hop and those Connection names are taken out",
    "GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nConnection: x-hop, Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: z\r\nX-Hop: 1\r\n" +
      "TE: trailers\r\nKeep-Alive: 5\r\nB: 2\r\n\r\n",
    {
      fields: [
        ["A", "1"],
        ["B", "2"],
      ],
    },
  ],
  [
    "Connection cannot name the host, the framing or itself away",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: host, content-length, connection\r\n\r\n",
    { authority: "a", bodyLength: 5 },
  ],
  [
    "a known name spelt with underscores is taken out, others stay",
    "GET / HTTP/1.1\r\nHost: a\r\nX_Forwarded_For: 1\r\nContent_Length: 5\r\nmy_own: 1\r\n\r\n",
    { fields: [["my_own", "1"]], bodyLength: length.none },
  ],
];

describe("a request head is accepted", () => {
  test.each(accepted)("%s, however it is split", (_, head, wanted) => {
    for (let cut = 0; cut < head.length; cut++) {
      const { parser, rest } = parse(`${head}BODY`, cut);
      expect(rest).toBe("BODY");
      const { fields, ...plain } = wanted;
      expect(parser).toMatchObject(plain);
      if (fields) expect(parser.fields.entries()).toEqual(fields as [string, string][]);
    }
  });

  test("one byte at a time", () => {
    const head = "\r\nPOST /a?b HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\nCookie: a=b\r\n\r\n";
    const parser = new RequestParser(limits);
    for (const [index, byte] of Buffer.from(head).entries()) {
      expect(parser.feed(Buffer.from([byte]), 0, 1)).toBe(index === head.length - 1 ? 1 : incomplete);
    }
    expect(parser).toMatchObject({ method: "POST", target: "/a?b", authority: "a", bodyLength: 12 });
    expect(parser.fields.entries()).toEqual([["Cookie", "a=b"]]);
  });

  test("at an offset of its chunk, in one piece and in two", () => {
    const head = "GET /x HTTP/1.1\r\nHost: a\r\nX-One: 1\r\nX-Two: 2\r\n\r\n";
    for (let cut = 1; cut <= head.length; cut++) {
      const parser = new RequestParser(limits);
      const first = Buffer.from(`previous${head.slice(0, cut)}`);
      let after = parser.feed(first, 8, first.length);
      if (after === incomplete) after = parser.feed(Buffer.from(`${head.slice(cut)}next`), 0, head.length - cut + 4);
      expect(after).not.toBe(incomplete);
      expect(parser.fields.entries()).toEqual([
        ["X-One", "1"],
        ["X-Two", "2"],
      ]);
    }
  });

  test("after another, with nothing left of it", () => {
    const parser = new RequestParser(limits);
    const first = Buffer.from(
      "POST http://b/x HTTP/1.0\r\nHost: a\r\nContent-Length: 3\r\nConnection: close\r\nX: 1\r\n\r\n",
    );
    parser.feed(first, 0, first.length);
    parser.reset();
    const second = Buffer.from("GET / HTTP/1.1\r\nHost: c\r\n\r\n");
    expect(parser.feed(second, 0, second.length)).toBe(second.length);
    expect(parser).toMatchObject({
      method: "GET",
      target: "/",
      authority: "c",
      bodyLength: length.none,
      keepsAlive: true,
    });
    expect(parser.fields.entries()).toEqual([]);
  });
});

describe("a request head is refused", () => {
  test.each(refusedRequests)("%s, however it is split", (_, head, code) => {
    for (let cut = 0; cut < Math.min(head.length, 200); cut++) expect(errorOf(() => parse(head, cut))).toBe(code);
  });

  test("as soon as the bad line is there, without waiting for the rest", () => {
    const parser = new RequestParser(limits);
    const start = Buffer.from("GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n");
    expect(errorOf(() => parser.feed(start, 0, start.length))).toBe("request_malformed");
  });
});
