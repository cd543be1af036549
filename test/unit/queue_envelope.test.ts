import { expect, test } from "bun:test";

import { amendEnvelope, decodeEnvelope, encodeEnvelope } from "../../src/store/queue/envelope.ts";

test("what goes in comes out, and the payload is not touched", () => {
  const payload = '{"text":"two\\nlines","n":1e400}';
  expect(decodeEnvelope(encodeEnvelope({ name: "send mail", payload, id: "7", unique: "k", trace: "t" }))).toEqual({
    name: "send mail",
    payload,
    id: "7",
    attempts: 0,
    unique: "k",
    trace: "t",
    reason: undefined,
    fault: undefined,
  });
});

test("an amended envelope keeps what it does not know", () => {
  const text = '{"v":1,"name":"a","priority":3}\n{"x":1}';
  const amended = amendEnvelope(text, { id: "5-0", attempts: 2, reason: "r".repeat(5_000) });
  expect(amended).toContain('"priority":3');
  expect(decodeEnvelope(amended)).toMatchObject({
    id: "5-0",
    attempts: 2,
    payload: '{"x":1}',
    reason: "r".repeat(2_000),
  });
});

test("a later version is marked, and amended without being understood", () => {
  const text = '{"v":2,"name":"a"}\nsomething else';
  expect(decodeEnvelope(text)).toMatchObject({ fault: "newer", name: "a", payload: "something else" });
  expect(amendEnvelope(text, { id: "5-0", attempts: 0 })).toBe(
    '{"v":2,"name":"a","id":"5-0","attempts":0}\nsomething else',
  );
});

for (const text of [
  "",
  "rubbish",
  "{}",
  "null\n{}",
  '{"v":"1","name":"a"}\n{}',
  '{"v":1,"name":"a","attempts":"2"}\n{}',
]) {
  test(`${JSON.stringify(text)} is no envelope`, () => {
    expect(decodeEnvelope(text)).toMatchObject({ fault: "garbled", payload: text });
    const amended = decodeEnvelope(amendEnvelope(text, { id: "1-0", attempts: 1 }));
    expect(amended).toMatchObject({ fault: undefined, id: "1-0", payload: JSON.stringify(text) });
  });
}
