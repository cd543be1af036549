import { expect, test } from "bun:test";

import { amendEnvelope, decodeEnvelope, encodeCompleted, encodeEnvelope } from "../../src/store/queue/envelope.ts";

test("what goes in comes out, and the payload is not touched", () => {
  const payload = '{"text":"two\\nlines","n":1e400}';
  expect(decodeEnvelope(encodeEnvelope({ name: "send mail", payload, id: "7", unique: "k", trace: "t" }))).toEqual({
    name: "send mail",
    payload,
    id: "7",
    attempts: 0,
    unique: "k",
    trace: "t",
    priority: "normal",
    gates: [],
    reason: undefined,
    enqueuedAtMs: undefined,
    history: [],
    ended: undefined,
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

test("what happened to a job is kept, the newest of it, and what repeats itself is one", () => {
  let text = '{"v":1,"name":"a"}\n{}';
  const happened = (at: number, reason: string) =>
    (text = amendEnvelope(text, { id: "5-0", attempts: at, reason, event: { at, to: "retryable", reason } }));
  for (let at = 1; at <= 12; at++) happened(at, `failure ${at}`);
  for (let at = 13; at <= 15; at++) happened(at, "no job here is named a");
  const { history } = decodeEnvelope(text);
  expect(history).toHaveLength(10);
  expect(history[0]).toEqual({ at: 4, to: "retryable", attempt: 4, reason: "failure 4" });
  expect(history.at(-1)).toEqual({ at: 15, to: "retryable", attempt: 15, reason: "no job here is named a", times: 3 });
});

test("what is stored anew has not ended", () => {
  const ended = { to: "cancelled", at: 9, ms: 0 } as const;
  const text = amendEnvelope('{"v":1,"name":"a"}\n{}', { id: "5-0", attempts: 1, ended });
  expect(decodeEnvelope(text).ended).toEqual({ to: "cancelled", atMs: 9, durationMs: 0 });
  expect(decodeEnvelope(amendEnvelope(text, { id: "5-0", attempts: 0 })).ended).toBeUndefined();
});

test("a completed job is kept with its result in place of its payload", () => {
  const job = { name: "a", attempts: 2, priority: "low", enqueuedAtMs: 1 } as const;
  expect(decodeEnvelope(encodeCompleted(job, { atMs: 9, durationMs: 3 }, '{"n":1}'))).toMatchObject({
    name: "a",
    attempts: 2,
    priority: "low",
    enqueuedAtMs: 1,
    payload: '{"n":1}',
    ended: { to: "completed", atMs: 9, durationMs: 3 },
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
