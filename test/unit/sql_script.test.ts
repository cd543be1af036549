import { expect, test } from "bun:test";

import { splitScript } from "../../src/store/sql/script.ts";

test.each<[string, string, string[]]>([
  ["empty", " \n-- only a comment\n/* and another */ ;; ", []],
  ["plain", "select 1; select 2", ["select 1", "select 2"]],
  ["strings", "select 'a;b', 'it''s;', E'\\';'; select 2", ["select 'a;b', 'it''s;', E'\\';'", "select 2"]],
  ["identifiers", 'select 1 as "a;""b"; select 2', ['select 1 as "a;""b"', "select 2"]],
  [
    "comments",
    "select 1 -- no; end\n+ 2; /* a; /* nested; */ b; */ select 3",
    ["select 1 -- no; end\n+ 2", "select 3"],
  ],
  ["dollar quotes", "do $$ begin; end $$; select $a$ ; $$ ; $a$", ["do $$ begin; end $$", "select $a$ ; $$ ; $a$"]],
  ["parameters are no quotes", "select $1; select $2", ["select $1", "select $2"]],
  [
    "rules",
    "create rule r as on insert to t do (delete from a; delete from b); select 1",
    ["create rule r as on insert to t do (delete from a; delete from b)", "select 1"],
  ],
  [
    "SQL bodies",
    "create function f() returns int begin atomic select case when true then 1 end; select 2; end; select 3",
    ["create function f() returns int begin atomic select case when true then 1 end; select 2; end", "select 3"],
  ],
])("a script is split at the ends of its statements: %s", (_, script, statements) => {
  expect(splitScript(script).map(({ text }) => text)).toEqual(statements);
});

test("a statement knows the line it begins on", () => {
  const script = "-- first\n\nselect 1;\n/* two\nlines */\nselect\n2;";
  expect(splitScript(script)).toEqual([
    { text: "select 1", line: 3 },
    { text: "select\n2", line: 6 },
  ]);
});
