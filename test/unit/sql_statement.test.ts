import { describe, expect, test } from "bun:test";

import type { Parameter } from "scale";

import { changesRows, fragment, list, name, statementOf, type Value } from "../../src/runtime/statement.ts";

const q = (strings: TemplateStringsArray, ...values: readonly Value[]) => statementOf("sql.read", strings, values);

describe("a template becomes a statement", () => {
  test("values become parameters, in order, and the text depends on the template alone", () => {
    const both = [1, 2].map((id) => q`select ${id} where name = ${"x"}`);
    expect(both[0]).toEqual({ text: "select $1 where name = $2", parameters: [1, "x"] });
    expect(both[1]!.text).toBe(both[0]!.text);
  });

  test("fragments bring their own values along, nested to any depth", () => {
    const recent = fragment`created_at > ${"2024-01-01"}`;
    const where = fragment`where ${recent} and author_id in (${list([7, 8])})`;
    expect(q`select ${1} from ${name("my table")} ${where} limit ${10}`).toEqual({
      text: 'select $1 from "my table" where created_at > $2 and author_id in ($3, $4) limit $5',
      parameters: [1, "2024-01-01", 7, 8, 10],
    });
  });

  test("an identifier cannot end its quotes", () => {
    expect(q`select ${name('a"; drop table x; --')}`.text).toBe('select "a""; drop table x; --"');
    expect(() => name("")).toThrow("expected the name of a column or table");
    expect(() => name("a\0b")).toThrow();
  });

  test("an empty list is an error that names what takes one", () => {
    expect(() => list([])).toThrow("at least one value");
  });

  test("a plain string in place of a template is refused: it is where injection would come in", () => {
    const text = "select 'x'" as unknown as TemplateStringsArray;
    expect(() => statementOf("sql.read", text, [])).toThrow("sql.read was called with a plain string");
    expect(() => statementOf("sql.read", ["select 1"] as unknown as TemplateStringsArray, [])).toThrow(
      "expected a template",
    );
  });

  test.each([
    ["undefined", undefined],
    ["an object", { a: 1 }],
    ["a function", () => 1],
    ["an invalid Date", new Date("no")],
    ["an object", [1, [{}]]],
    ["a fragment inside an array", [fragment`1`]],
  ])("%s is not a value, and the error says which one it was", (what, value) => {
    const bad = value as unknown as Parameter;
    expect(() => q`select ${1}, ${bad}`).toThrow("value 2 of sql.read is ");
    expect(() => q`select ${1}, ${bad}`).toThrow(what);
    expect(() => q`select ${bad}, ${fragment`now()`}`).toThrow("value 1 of sql.read is ");
  });

  test("more values than the protocol can count are an error that names the way out", () => {
    expect(() => q`select ${list(Array.from({ length: 65_534 }, () => 1))}`).toThrow("at most 65533");
  });
});

test.each([
  ["insert into a values (1)", true],
  ["\n  UPDATE a set n = 1 returning n", true],
  ["merge into a using b on true when matched then delete", true],
  ["with gone as (delete from a returning id) select id from gone", true],
  ["with one as (select 1), gone as materialized (\n delete from a returning 1) select 1", true],
  ["select updated_at from inserts", false],
  ["with one as (select deleted from updates) select * from one", false],
  ["select 'insert into a'", false],
  ["", false],
])("whether %j changes rows: %p", (text, changes) => {
  expect(changesRows(text)).toBe(changes);
});
