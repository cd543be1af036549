/**
 * How values travel: JavaScript → PostgreSQL's text input, PostgreSQL's text output → JavaScript. What JavaScript cannot hold exactly
 * stays text: int8, numeric, date and timestamp without time zone. An instant (timestamptz) is a Date.
 * A string parameter is sent as it is, whatever the column's type, so "true" is true and JSON text is JSON.
 */
import type { PostgresType } from "postgres";

import type { SqlParameter } from "./sql.ts";

type Decode = (text: string) => unknown;

const identity: Decode = (text) => text;
const decodeBytes: Decode = (text) => Buffer.from(text.slice(2), "hex");
const decodeInstant: Decode = (text) => (text.endsWith("infinity") ? text : new Date(text));
const decodeBoolean: Decode = (text) => text === "t";
const decodeJson: Decode = (text) => JSON.parse(text);

/** A parameter as PostgreSQL reads it. Arrays are encoded before the driver sees them (parametersOf). */
function encode(value: unknown): string {
  if (value instanceof Date) return value.toISOString();
  if (value instanceof Uint8Array)
    return `\\x${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("hex")}`;
  if (value === true) return "t";
  if (value === false) return "f";
  return String(value);
}

const type = (to: number, from: number[], parse: Decode): PostgresType => ({ to, from, parse, serialize: encode });

/** Array type → decoder of its elements. Object identifiers of built-in types never change (src/include/catalog/pg_type.dat). */
const elementDecoders: readonly (readonly [arrayTypes: number[], decode: Decode])[] = [
  [[1005, 1007, 1021, 1022, 1028], Number], // int2, int4, float4, float8, oid
  [[1016, 1231], identity], // int8, numeric
  [[1000], decodeBoolean],
  [[1001], decodeBytes],
  [[1185], decodeInstant],
  [[199, 3807], decodeJson], // json, jsonb
  [[1002, 1003, 1009, 1014, 1015, 1115, 1182, 1183, 1270, 1187, 2951, 1041, 651], identity], // text, dates, uuid, inet, …
];

/** The driver's type table. */
export const types: { readonly [name: string]: PostgresType } = {
  string: type(25, [25], identity),
  boolean: type(16, [16], decodeBoolean),
  bytes: type(17, [17], decodeBytes),
  instant: type(1184, [1184], decodeInstant),
  calendar: type(1082, [1082, 1114], identity),
  json: type(114, [114, 3802], decodeJson),
  ...Object.fromEntries(
    elementDecoders.map(([arrayTypes, decode]) => [
      `array_${arrayTypes[0]}`,
      type(arrayTypes[0]!, arrayTypes, (text) => decodeArray(text, decode)),
    ]),
  ),
};

/** Parameters for the driver: arrays become their literal, everything else is encoded by it with `types`. */
export function parametersOf(parameters: readonly SqlParameter[]): SqlParameter[] {
  return parameters.map((value) => (Array.isArray(value) ? encodeArray(value as readonly SqlParameter[]) : value));
}

/** {1,NULL,"a \"b\""}: every element but null is quoted, so that none can be mistaken for syntax. */
export function encodeArray(values: readonly SqlParameter[]): string {
  const elements = values.map((value) => {
    if (value === null) return "NULL";
    if (Array.isArray(value)) return encodeArray(value as readonly SqlParameter[]);
    return `"${encode(value).replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
  });
  return `{${elements.join(",")}}`;
}

/** Reads PostgreSQL's array output (manual, 8.15.6), nested to any depth; explicit bounds ("[0:1]={…}") are dropped. */
export function decodeArray(text: string, decode: Decode): unknown[] {
  let at = text.indexOf("{");

  function quoted(): string {
    let content = "";
    for (at++; text[at] !== '"'; at++) {
      if (text[at] === "\\") at++;
      content += text[at];
    }
    at++;
    return content;
  }

  function bare(): unknown {
    const start = at;
    while (text[at] !== "," && text[at] !== "}") at++;
    const content = text.slice(start, at);
    return content === "NULL" ? null : decode(content);
  }

  function list(): unknown[] {
    const values: unknown[] = [];
    at++;
    while (text[at] !== "}") {
      if (text[at] === ",") at++;
      else if (text[at] === "{") values.push(list());
      else if (text[at] === '"') values.push(decode(quoted()));
      else values.push(bare());
    }
    at++;
    return values;
  }

  return list();
}
