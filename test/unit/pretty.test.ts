/** Log lines as a person reads them. */
import { expect, test } from "bun:test";

import { prettyLine } from "../../src/ops/pretty.ts";

const plain = (fields: object) =>
  Bun.stripANSI(prettyLine(JSON.stringify({ level: "warn", time: "2026-01-02T03:04:05.678Z", ...fields })));

test("time, level, message and fields stand on one line", () => {
  expect(plain({ message: "hello", route: "/", ms: 3, error: "not_found" })).toBe(
    "03:04:05.678 warn  hello route=/ ms=3 error=not_found\n",
  );
});

test("an error's stack follows, indented", () => {
  expect(plain({ message: "failed", error: { message: "boom", stack: "Error: boom\n  at x" } })).toBe(
    "03:04:05.678 warn  failed \n      Error: boom\n        at x\n",
  );
});

test("what came from outside cannot steer the terminal", () => {
  const line = prettyLine(JSON.stringify({ level: "info", time: "", message: "\x1b]0;owned\x07", path: "a\rb\x9b2J" }));
  expect(line).toContain("\\x1b]0;owned\\x07");
  expect(line).toContain("path=a\\x0db\\x9b2J");
});

test("what is not JSON is passed on", () => {
  expect(prettyLine("panic!")).toBe("panic!\n");
});
