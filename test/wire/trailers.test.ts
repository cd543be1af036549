/** Which fields may come after a body, and how they are written. */
import { expect, test } from "bun:test";

import { BodyReader } from "../../src/wire/http1/body_reader.ts";
import { trailerRoom, writeTrailers } from "../../src/wire/http1/serialise.ts";
import { length } from "../../src/wire/message.ts";
import { allowedTrailers } from "../../src/wire/trailers.ts";
import { limits } from "./refused.ts";

function trailersOf(section: string) {
  const reader = new BodyReader("request_malformed", limits);
  reader.begin(length.unknown, true);
  const bytes = Buffer.from(`0\r\n${section}\r\n`, "latin1");
  reader.feed(bytes, 0, bytes.length, { body: () => undefined });
  return reader.trailers;
}

test.each([
  ["Content-Length: 5"],
  ["Transfer-Encoding: chunked"],
  ["Host: a"],
  ["Trailer: X"],
  ["Connection: close"],
  ["TE: trailers"],
  ["Upgrade: websocket"],
  ["Authorization: x"],
  ["Proxy-Authorization: x"],
  ["Cookie: a=b"],
  ["Set-Cookie: a=b"],
  ["Cache-Control: public"],
  ["Content-Encoding: gzip"],
  ["CONTENT-TYPE: text/html"],
  ["Location: /"],
  ["Date: d"],
  ["Expect: 100-continue"],
  ["If-None-Match: e"],
  ["X-Forwarded-For: 1.2.3.4"],
  ["X_Forwarded_For: 1.2.3.4"],
  ["Forwarded: for=1.2.3.4"],
  ["X-Request-Id: r"],
])("%s may not", (line) => {
  expect(allowedTrailers(trailersOf(`${line}\r\n`)!)).toBeUndefined();
  expect(allowedTrailers(trailersOf(`X-Sum: 1\r\n${line}\r\n`)!)!.entries()).toEqual([["X-Sum", "1"]]);
});

test("others may, and are written after the last chunk, spelt the usual way", () => {
  const trailers = allowedTrailers(trailersOf("ETag: e\r\nHost: a\r\nGrpc-Status:0\r\nServer-Timing: \t x \r\n")!)!;
  const out = Buffer.alloc(trailerRoom(trailers));
  const end = writeTrailers(out, 0, trailers);
  expect(out.toString("latin1", 0, end)).toBe("0\r\nETag: e\r\nGrpc-Status: 0\r\nServer-Timing: x\r\n\r\n");
});

test("a body without any has none", () => {
  expect(trailersOf("")).toBeUndefined();
});
