/** Text and numbers put into a buffer are what a string would have held. */
import { expect, test } from "bun:test";

import { putCrlf, putLine, putNumber, putText } from "../../src/std/put.ts";

function put(write: (out: Buffer, at: number) => number): string {
  const out = Buffer.alloc(4096, "!");
  return out.toString("latin1", 5, write(out, 5));
}

test.each(["", "a", "GET", "\xe9\xff", "x".repeat(64), "x".repeat(65), "y".repeat(3000)])("text %#", (text) => {
  expect(put((out, at) => putText(out, at, text))).toBe(text);
});

test.each([0, 9, 10, 255, 1_000, 2_147_483_647, 2_147_483_648, 4_294_967_296, 9_007_199_254_740_991])(
  "the number %d",
  (value) => {
    expect(put((out, at) => putNumber(out, at, value))).toBe(String(value));
  },
);

test("a line", () => {
  expect(put((out, at) => putCrlf(out, putLine(out, at, "Host", "a")))).toBe("Host: a\r\n\r\n");
});
