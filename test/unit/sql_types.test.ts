import { expect, test } from "bun:test";

import { placeOf } from "../../src/store/sql/connection.ts";
import { decodeArray, encodeArray } from "../../src/store/sql/types.ts";

const text = (value: string): string => value;

test.each<[string, unknown[]]>([
  ["{}", []],
  ["{1,2,NULL}", ["1", "2", null]],
  ['{"a b","","NULL","x\\"y\\\\z","{,}"}', ["a b", "", "NULL", 'x"y\\z', "{,}"]],
  [
    "{{1,2},{3,4}}",
    [
      ["1", "2"],
      ["3", "4"],
    ],
  ],
  ["[0:1]={1,2}", ["1", "2"]],
  ["{é,ü}", ["é", "ü"]],
])("PostgreSQL's array %s is read", (literal, values) => {
  expect(decodeArray(literal, text)).toEqual(values);
});

test("what is written as an array is read back as the same", () => {
  const values = ["", " ", "NULL", "null", '"', "\\", "{}", ",", "a\nb", null, [["deep"], [null]]] as const;
  expect(decodeArray(encodeArray(values), text)).toEqual([...values]);
});

test("numbers, booleans, instants and bytes are written as PostgreSQL reads them", () => {
  const values = [1.5, 9007199254740993n, true, false, new Date(0), new Uint8Array([0, 255])];
  expect(encodeArray(values)).toBe('{"1.5","9007199254740993","t","f","1970-01-01T00:00:00.000Z","\\\\x00ff"}');
});

test.each([
  ["postgres://u:p@host:1/db", "host:1"],
  ["postgres://u:p%40x@[::1]:5432/db?x=1", "[::1]:5432"],
  ["postgresql://a:1,b:2/db", "a:1,b:2"],
  ["postgres:///db", "localhost"],
])("%s is named in messages without user and password", (url, place) => {
  expect(placeOf(url)).toBe(place);
});
