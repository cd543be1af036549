/** Which protocols may be asked for and switched to. */
import { expect, test } from "bun:test";

import { isAnswerTo, protocolsOf } from "../../src/wire/http1/upgrade.ts";

test.each([
  ["websocket", "websocket"],
  ["WebSocket", "WebSocket"],
  ["IRC/6.9, RTA/x11", "IRC/6.9, RTA/x11"],
  [" , websocket ,, echo", "websocket, echo"],
  ["h2c", ""],
  ["H2C, websocket", "websocket"],
  ["h2, HTTP/2.0, http/1.1", ""],
  ["h2cat", "h2cat"],
  ["e(c)ho", ""],
  ["a b, c/d/e, /f", ""],
  ["", ""],
])("of %p the target is asked for %p", (field, asked) => {
  expect(protocolsOf(field)).toBe(asked);
});

test.each([
  ["websocket", "websocket", true],
  ["websocket", "WebSocket", true],
  ["echo/1, echo/2", "echo/2", true],
  ["echo/1", "echo", false],
  ["websocket", "", false],
  ["", "", false],
  ["a, b", "a, b", false],
])("to %p the answer %p is one: %p", (asked, field, isOne) => {
  expect(isAnswerTo(asked, field)).toBe(isOne);
});
