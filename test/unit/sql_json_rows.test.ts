// The rows of a statement as one JSON array.

import { describe, expect, test } from "bun:test";

import { eachAsJson, jsonArray } from "../../src/store/sql/json_rows.ts";

const row = (text: string) => [Buffer.from(text)] as const;

describe("rows as one JSON array", () => {
  test.each([
    { rows: [], array: "[]" },
    { rows: ["{}"], array: "[{}]" },
    { rows: ['{"a":"é"}', '{"a":2}', "{}"], array: '[{"a":"é"},{"a":2},{}]' },
  ])("$rows", ({ rows, array }) => {
    expect(Buffer.from(jsonArray(rows.map(row))).toString()).toBe(array);
  });

  test("keep nothing of what they were read from", () => {
    const chunk = Buffer.from('{"a":1}{"a":2}');
    const array = jsonArray([[chunk.subarray(0, 7)], [chunk.subarray(7)]]);
    chunk.fill(0);
    expect(Buffer.from(array).toString()).toBe('[{"a":1},{"a":2}]');
  });

  test("the statement may end with a semicolon, or with a comment", () => {
    expect(eachAsJson("select 1 as n ;\n")).toBe("select row_to_json(t.*) from (\nselect 1 as n\n) t");
    expect(eachAsJson("select 1 -- one")).toBe("select row_to_json(t.*) from (\nselect 1 -- one\n) t");
  });
});
