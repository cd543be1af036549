import { expect, test } from "bun:test";

import { message, query, stringAt, sync } from "../../src/store/embedded/messages.ts";
import { runnableBytes, StatementNames } from "../../src/store/embedded/statements.ts";
import { bind, execute, parse } from "../harness/pg_wire.ts";

const translated = (text: string) => {
  const translation = new StatementNames(1).translate(query(text));
  return { ...translation, text: stringAt(translation.bytes, 5).text };
};

test("a prepared statement carries its connection's name in every message that names it; the unnamed one stays unnamed", () => {
  const names = new StatementNames(7);
  const describeStatement = (name: string) => message("D", Buffer.from("S"), name);
  const batch = Buffer.concat([
    parse("s", "select 1"),
    describeStatement("s"),
    bind("s"),
    execute,
    parse("", "x"),
    bind(""),
    sync,
  ]);
  const own = Buffer.concat([
    parse("c7_s", "select 1"),
    describeStatement("c7_s"),
    bind("c7_s"),
    execute,
    parse("", "x"),
    bind(""),
    sync,
  ]);
  expect(names.translate(batch)).toEqual({ bytes: own, complete: true, touchesSession: false, forgets: false });
  expect(names.closeAll()).toEqual(message("C", Buffer.from("S"), "c7_s"));
  expect(names.closeAll().length).toBe(0);
});

test.each([
  "update t set a = 1",
  "update t\nset a = 1",
  "select 'listen', copy from from_stdin",
  "insert into offsets values (1)",
])("%j passes as it is, and costs nothing more", (text) => {
  expect(translated(text)).toMatchObject({ text, touchesSession: false, forgets: false });
});

test("COPY FROM STDIN is refused wherever it stands in a script, and a word in a text is not it", () => {
  for (const script of ["copy t from stdin", "create table t (n int); -- then\n/* data */ Copy t\n FROM /**/ STDIN;"]) {
    expect(translated(script).text).toContain("COPY FROM STDIN does not work");
  }
  const harmless = "select 1; insert into t values ('copy t from stdin; or'); copy t to stdout";
  expect(translated(harmless).text).toBe(harmless);
});

test.each([
  "set work_mem = '8MB'",
  "  -- why\n SET work_mem = '8MB'",
  "select 1; set work_mem = '8MB'",
  "select set_config('a.b', 'c', false)",
  "select pg_try_advisory_lock(1)",
  "reset all",
])("%j may change the session", (text) => {
  expect(translated(text)).toMatchObject({ text, touchesSession: true });
});

test.each(["listen news", "/* x */ copy t (a, b) from stdin", "COPY t FROM STDIN WITH (FORMAT csv)"])(
  "%j is replaced by its refusal",
  (text) => {
    expect(translated(text).text).toContain("errcode = '0A000'");
  },
);

test("discard all and deallocate all reach no other connection", () => {
  expect(translated("discard all")).toMatchObject({ forgets: true, touchesSession: true });
  expect(translated("deallocate all").text).not.toContain("deallocate");
});

test("a statement that changes the session does so each time it is run by name", () => {
  const names = new StatementNames(1);
  names.translate(Buffer.concat([parse("lock", "select pg_advisory_lock(1)"), sync]));
  expect(names.translate(Buffer.concat([bind("lock"), execute, sync])).touchesSession).toBe(true);
  expect(names.translate(Buffer.concat([bind("other"), execute, sync])).touchesSession).toBe(false);
});

test("only what PostgreSQL would answer at once is run: not half a message, not half a batch", () => {
  const batch = Buffer.concat([parse("", "select 1"), bind(""), execute]);
  expect(runnableBytes(batch)).toBe(0);
  expect(runnableBytes(Buffer.concat([batch, sync, batch]))).toBe(batch.length + sync.length);
  expect(runnableBytes(Buffer.concat([batch, sync]).subarray(0, -1))).toBe(0);
  expect(runnableBytes(Buffer.concat([parse("", "select 1"), message("H")]))).toBeGreaterThan(0);
});
