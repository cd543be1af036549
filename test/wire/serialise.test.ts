/** Heads and chunks on the wire: made afresh, byte for byte what RFC 9112 asks for. */
import { describe, expect, test } from "bun:test";

import { RequestParser } from "../../src/wire/http1/request_parser.ts";
import { ResponseParser } from "../../src/wire/http1/response_parser.ts";
import {
  type BodyFraming,
  writeChunkSize,
  writeRequestHead,
  writeResponseHead,
} from "../../src/wire/http1/serialise.ts";
import { nothingShared, SharedFields } from "../../src/wire/message.ts";

const limits = { headBytesMax: 4096, headFieldsMax: 20, targetBytesMax: 1000 };
const added = ["X-Forwarded-For", "192.0.2.1", "X-Request-Id", "r1"];

function requestFrom(text: string): RequestParser {
  const parser = new RequestParser(limits);
  const bytes = Buffer.from(text, "latin1");
  parser.feed(bytes, 0, bytes.length);
  return parser;
}

function responseFrom(text: string, method = "GET"): ResponseParser {
  const parser = new ResponseParser(limits);
  parser.reset(method);
  const bytes = Buffer.from(text, "latin1");
  parser.feed(bytes, 0, bytes.length);
  return parser;
}

function written(write: (out: Buffer, at: number) => number): string {
  const out = Buffer.alloc(8192, "!");
  return out.toString("latin1", 3, write(out, 3));
}

const writeRequest = (text: string, extra: readonly string[] = added) =>
  written((out, at) => writeRequestHead(out, at, requestFrom(text), extra, nothingShared));

describe("a request head", () => {
  test("says what is shared by many each time, before what is its own", () => {
    const shared = new SharedFields(["X-Real-IP", "192.0.2.1", "X-Forwarded-Proto", "http"]);
    const write = () =>
      written((out, at) =>
        writeRequestHead(out, at, requestFrom("GET / HTTP/1.1\r\nHost: h\r\n\r\n"), ["A", "b"], shared),
      );
    const expected = "GET / HTTP/1.1\r\nHost: h\r\nX-Real-IP: 192.0.2.1\r\nX-Forwarded-Proto: http\r\nA: b\r\n\r\n";
    expect([write(), write()]).toEqual([expected, expected]);
  });

  test("keeps fields in order, adds ours after them, and ends with the framing", () => {
    const head =
      "POST /a?b HTTP/1.1\r\nUser-Agent: u\r\nHost: h:1\r\nAccept: */*\r\nContent-Length: 5\r\nCookie: a=b\r\n\r\n";
    expect(writeRequest(head)).toBe(
      "POST /a?b HTTP/1.1\r\nHost: h:1\r\nUser-Agent: u\r\nAccept: */*\r\nCookie: a=b\r\n" +
        "X-Forwarded-For: 192.0.2.1\r\nX-Request-Id: r1\r\nContent-Length: 5\r\n\r\n",
    );
  });

  test("says chunked for a body of unknown length, and nothing without one", () => {
    const chunked = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    expect(writeRequest(chunked, [])).toBe("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    expect(writeRequest("GET / HTTP/1.0\r\nHost: h\r\n\r\n", [])).toBe("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  });

  test("takes the host of absolute-form", () => {
    expect(writeRequest("GET http://b/x HTTP/1.1\r\nHost: a\r\n\r\n", [])).toBe("GET /x HTTP/1.1\r\nHost: b\r\n\r\n");
  });

  test("says twice what CONNECT asks for", () => {
    expect(writeRequest("CONNECT b:22 HTTP/1.1\r\nHost: B\r\n\r\n", [])).toBe(
      "CONNECT b:22 HTTP/1.1\r\nHost: b:22\r\n\r\n",
    );
  });

  test("has one way of spelling a line, whatever the white space was", () => {
    const head = "GET / HTTP/1.1\r\nHost: h\r\nA:1\r\nB:   2  \r\nC: 3\r\nD:\r\nE: \xe9\r\n\r\n";
    expect(writeRequest(head, [])).toBe("GET / HTTP/1.1\r\nHost: h\r\nA: 1\r\nB: 2\r\nC: 3\r\nD: \r\nE: \xe9\r\n\r\n");
  });

  test("removes what Connection names before ours are added, so that none of ours can be named", () => {
    const head = "GET / HTTP/1.1\r\nHost: h\r\nConnection: X-Forwarded-For, X-Mine\r\nX-Mine: 1\r\nZ: 1\r\n\r\n";
    expect(writeRequest(head)).toBe(
      "GET / HTTP/1.1\r\nHost: h\r\nZ: 1\r\nX-Forwarded-For: 192.0.2.1\r\nX-Request-Id: r1\r\n\r\n",
    );
  });

  test("is a request head again, with the same meaning", () => {
    const head = "PUT /a%20b HTTP/1.1\r\nHost: h\r\nX: 1\r\nContent-Length: 7\r\n\r\n";
    const again = requestFrom(writeRequest(head, []));
    expect(again).toMatchObject({ method: "PUT", target: "/a%20b", authority: "h", bodyLength: 7 });
    expect(again.fields.entries()).toEqual([["X", "1"]]);
  });
});

describe("a response head", () => {
  const cases: readonly (readonly [string, string, string, BodyFraming, "" | "close" | "keep-alive", string])[] = [
    [
      "with a length",
      "HTTP/1.1 200 Fine\r\nA: 1\r\nContent-Length: 5\r\n\r\n",
      "GET",
      "counted",
      "",
      "HTTP/1.1 200 OK\r\nA: 1\r\nContent-Length: 5\r\n\r\n",
    ],
    [
      "chunked",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
      "GET",
      "chunked",
      "",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
    [
      "the last of its connection",
      "HTTP/1.1 200 OK\r\n\r\n",
      "GET",
      "until_close",
      "close",
      "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
    ],
    [
      "for HTTP/1.0 that persists",
      "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
      "GET",
      "counted",
      "keep-alive",
      "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
    ],
    [
      "to HEAD, with the length a body would have",
      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
      "HEAD",
      "counted",
      "",
      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
    ],
    ["with a status of no known reason", "HTTP/1.1 299 Odd\r\n\r\n", "GET", "none", "", "HTTP/1.1 299 \r\n\r\n"],
  ];
  test.each(cases)("%s", (_, text, method, framing, connection, wanted) => {
    expect(written((out, at) => writeResponseHead(out, at, responseFrom(text, method), [], framing, connection))).toBe(
      wanted,
    );
  });

  test("keeps repeated fields apart", () => {
    const text = "HTTP/1.1 200 OK\r\nSet-Cookie: a\r\nKeep-Alive: 5\r\nSet-Cookie: b\r\n\r\n";
    expect(written((out, at) => writeResponseHead(out, at, responseFrom(text), [], "none", ""))).toBe(
      "HTTP/1.1 200 OK\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\n",
    );
  });
});

test("a chunk's size is hexadecimal", () => {
  expect(written((out, at) => writeChunkSize(out, at, 255))).toBe("ff\r\n");
});
