/** Response heads are held to the rules of request heads: what an upstream gets wrong is never passed on. */
import { describe, expect, test } from "bun:test";

import { ScaleError } from "../../src/std/errors.ts";
import { incomplete } from "../../src/wire/http1/head_parser.ts";
import { ResponseParser } from "../../src/wire/http1/response_parser.ts";
import { length } from "../../src/wire/message.ts";
import { limits, refusedResponses } from "./refused.ts";

function parse(text: string, method: string, cut: number): ResponseParser {
  const parser = new ResponseParser(limits);
  parser.reset(method);
  const bytes = Buffer.from(text, "latin1");
  if (cut > 0 && parser.feed(bytes.subarray(0, cut), 0, cut) !== incomplete) return parser;
  const second = bytes.subarray(cut);
  expect(parser.feed(second, 0, second.length)).toBe(second.length);
  return parser;
}

interface Wanted {
  readonly status: number;
  readonly bodyLength: number;
  readonly hasBody: boolean;
  readonly keepsAlive: boolean;
  readonly isChunked?: boolean;
}

const ok = "HTTP/1.1 200 OK\r\n";
const whole = { status: 200, hasBody: true, keepsAlive: true };
const bare = { hasBody: false, keepsAlive: true };

const accepted: readonly (readonly [promise: string, head: string, method: string, Wanted])[] = [
  ["a length", `${ok}Content-Length: 5\r\n\r\n`, "GET", { ...whole, bodyLength: 5 }],
  [
    "chunked",
    `${ok}Transfer-Encoding: chunked\r\n\r\n`,
    "GET",
    { ...whole, bodyLength: length.unknown, isChunked: true },
  ],
  ["until the connection closes", `${ok}\r\n`, "GET", { ...whole, bodyLength: length.unknown, keepsAlive: false }],
  ["no reason phrase", "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", "GET", { ...whole, bodyLength: 0 }],
  ["no space after the status", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "GET", { ...whole, bodyLength: 0 }],
  [
    "to HEAD, with the length a body would have",
    `${ok}Content-Length: 5\r\n\r\n`,
    "HEAD",
    { ...bare, status: 200, bodyLength: 5 },
  ],
  [
    "to HEAD, chunked",
    `${ok}Transfer-Encoding: chunked\r\n\r\n`,
    "HEAD",
    { ...bare, status: 200, bodyLength: length.none, isChunked: false },
  ],
  ["204", "HTTP/1.1 204 No Content\r\n\r\n", "GET", { ...bare, status: 204, bodyLength: length.none }],
  [
    "204 with a length it should not have, whose bytes may follow",
    "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
    "GET",
    { ...bare, status: 204, bodyLength: 5, keepsAlive: false },
  ],
  [
    "204 with chunks it should not have",
    "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
    "GET",
    { ...bare, status: 204, bodyLength: length.none, keepsAlive: false },
  ],
  ["304", "HTTP/1.1 304 Not Modified\r\n\r\n", "GET", { ...bare, status: 304, bodyLength: length.none }],
  [
    "an interim response",
    "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
    "GET",
    { ...bare, status: 103, bodyLength: length.none },
  ],
  [
    "to CONNECT, a success with a length that means nothing",
    `${ok}Content-Length: 5\r\n\r\n`,
    "CONNECT",
    { ...bare, status: 200, bodyLength: length.none },
  ],
  [
    "to CONNECT, a success with chunks that mean nothing",
    `${ok}Transfer-Encoding: chunked\r\n\r\n`,
    "CONNECT",
    { ...bare, status: 200, bodyLength: length.none, isChunked: false },
  ],
  [
    "to CONNECT, a refusal like any other",
    "HTTP/1.1 403 Forbidden\r\nContent-Length: 5\r\n\r\n",
    "CONNECT",
    { ...whole, status: 403, bodyLength: 5 },
  ],
  ["HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", "GET", { ...whole, bodyLength: 5, keepsAlive: false }],
  [
    "HTTP/1.0 that persists",
    "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\n",
    "GET",
    { ...whole, bodyLength: 5 },
  ],
  [
    "Connection: close",
    `${ok}Connection: close\r\nContent-Length: 5\r\n\r\n`,
    "GET",
    { ...whole, bodyLength: 5, keepsAlive: false },
  ],
];

describe("a response head", () => {
  test.each(accepted)("is accepted: %s", (_, head, method, wanted) => {
    for (let cut = 0; cut < head.length; cut++) expect(parse(head, method, cut)).toMatchObject(wanted);
  });

  test.each(refusedResponses)("is refused: %s", (_, head) => {
    for (let cut = 0; cut < Math.min(head.length, 200); cut++) {
      expect(() => parse(head, "GET", cut)).toThrow(expect.objectContaining({ code: "upstream_malformed" }));
    }
  });

  test("loses the fields of its hop and keeps the others as they are", () => {
    const head = `${ok}Connection: x-hop\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 0\r\n\r\n`;
    expect(parse(head, "GET", 0).fields.entries()).toEqual([
      ["Set-Cookie", "a"],
      ["Set-Cookie", "b"],
    ]);
  });

  test("comes after interim ones", () => {
    const parser = new ResponseParser(limits);
    parser.reset("GET");
    const bytes = Buffer.from("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nhi");
    const after = parser.feed(bytes, 0, bytes.length);
    expect([after, parser.status, parser.hasBody]).toEqual([25, 100, false]);
    parser.release();
    expect(parser.feed(bytes, after, bytes.length)).toBe(bytes.length - 2);
    expect(parser).toMatchObject({ status: 201, bodyLength: 2, hasBody: true });
  });

  test("is let go of when it has been read, and what it said of the body stays", () => {
    const parser = parse(`${ok}ETag: e\r\nContent-Length: 5\r\n\r\n`, "GET", 10);
    parser.release();
    expect([parser.fields.bytes.length, parser.fields.count]).toEqual([0, 0]);
    expect(parser).toMatchObject({ ...whole, bodyLength: 5 });
  });

  test("errors are the upstream's, not the client's", () => {
    expect(() => parse("nonsense\r\n\r\n", "GET", 0)).toThrow(ScaleError);
  });
});
