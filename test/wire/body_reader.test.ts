/** Bodies: every byte of the body, no byte of the framing, and the end known to the byte, however the network splits it. */
import { describe, expect, test } from "bun:test";

import { BodyReader } from "../../src/wire/http1/body_reader.ts";
import { length } from "../../src/wire/message.ts";
import { limits, refusedChunks } from "./refused.ts";

interface Read {
  readonly body: string;
  readonly rest: string;
  readonly isDone: boolean;
}

/** Feeds `text` in pieces of `size` bytes to a reader of a chunked body. */
function readChunked(text: string, size: number): Read {
  const reader = new BodyReader("request_malformed", limits);
  reader.begin(length.unknown, true);
  return read(reader, text, size);
}

function read(reader: BodyReader, text: string, size: number): Read {
  let body = "";
  const sink = {
    body: (bytes: Buffer, start: number, end: number) => void (body += bytes.toString("latin1", start, end)),
  };
  for (let at = 0; at < text.length; at += size) {
    const piece = Buffer.from(text.slice(at, at + size), "latin1");
    const after = reader.feed(piece, 0, piece.length, sink);
    if (reader.isDone) return { body, rest: text.slice(at + after), isDone: true };
    expect(after).toBe(piece.length);
  }
  return { body, rest: "", isDone: reader.isDone };
}

const everySize = (text: string) => Array.from({ length: text.length }, (_, index) => index + 1);

const chunkedBodies: readonly (readonly [promise: string, text: string, body: string])[] = [
  ["one chunk", "5\r\nhello\r\n0\r\n\r\n", "hello"],
  ["several chunks", "5\r\nhello\r\n1\r\n \r\n6\r\nworld!\r\n0\r\n\r\n", "hello world!"],
  ["hexadecimal sizes in both cases", "A\r\n0123456789\r\nb\r\n0123456789a\r\n0\r\n\r\n", "01234567890123456789a"],
  ["leading zeros", "0005\r\nhello\r\n000\r\n\r\n", "hello"],
  ["no chunk but the last", "0\r\n\r\n", ""],
  ["extensions, which are dropped", '5;a=b;c="d e"\r\nhello\r\n0;z\r\n\r\n', "hello"],
  ["trailers, which are no part of it", "5\r\nhello\r\n0\r\nX-Sum: 1\r\nY: 2\r\n\r\n", "hello"],
  ["data that looks like framing", "7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n", "\r\n0\r\n\r\n"],
];

describe("a chunked body", () => {
  test.each(chunkedBodies)("is read: %s", (_, text, body) => {
    for (const size of everySize(text)) {
      expect(readChunked(`${text}GET / HTTP`, size)).toEqual({ body, rest: "GET / HTTP", isDone: true });
    }
  });

  test.each(refusedChunks)("is refused: %s", (_, text) => {
    for (const size of everySize(text.slice(0, 40))) {
      expect(() => readChunked(text, size)).toThrow(expect.objectContaining({ code: "request_malformed" }));
    }
  });

  test("with trailers beyond the limit of a head is too large", () => {
    const trailers = `0\r\nX: ${"x".repeat(1100)}\r\n\r\n`;
    expect(() => readChunked(trailers, 100)).toThrow(expect.objectContaining({ code: "head_too_large" }));
  });

  test("hands out its trailers, and lets go of them", () => {
    const reader = new BodyReader("request_malformed", limits);
    reader.begin(length.unknown, true);
    read(reader, "5\r\nhello\r\n0\r\nX-Sum: 1\r\nY: 2\r\n\r\n", 4);
    const { trailers } = reader;
    expect(trailers!.entries()).toEqual([
      ["X-Sum", "1"],
      ["Y", "2"],
    ]);
    reader.release();
    expect([reader.trailers, trailers!.bytes.length]).toEqual([undefined, 0]);
  });

  test("can follow another on the same connection", () => {
    const reader = new BodyReader("request_malformed", limits);
    for (const body of ["hello", "world"]) {
      reader.begin(length.unknown, true);
      expect(read(reader, `5\r\n${body}\r\n0\r\nA: b\r\n\r\n`, 3)).toMatchObject({ body, isDone: true });
    }
  });
});

describe("a body with a length", () => {
  test("ends to the byte", () => {
    for (const size of everySize("hello worldGET /")) {
      const reader = new BodyReader("request_malformed", limits);
      reader.begin(11, false);
      expect(read(reader, "hello worldGET /", size)).toEqual({ body: "hello world", rest: "GET /", isDone: true });
    }
  });

  test.each([length.none, 0])("of %d is over before it begins", (bytes) => {
    const reader = new BodyReader("request_malformed", limits);
    reader.begin(bytes, false);
    expect(reader.isDone).toBe(true);
  });

  test("is not over, and does not end with the connection, while bytes are missing", () => {
    const reader = new BodyReader("upstream_malformed", limits);
    reader.begin(11, false);
    expect(read(reader, "hello", 2)).toMatchObject({ isDone: false });
    expect(reader.endsWithConnection).toBe(false);
  });
});

test("a body without framing is everything until the connection closes", () => {
  const reader = new BodyReader("upstream_malformed", limits);
  reader.begin(length.unknown, false);
  expect(read(reader, "anything\r\n0\r\n\r\n", 4)).toEqual({ body: "anything\r\n0\r\n\r\n", rest: "", isDone: false });
  expect(reader.endsWithConnection).toBe(true);
});
