/**
 * From a tagged template to a statement: text with $1, $2, … and the values beside it. A value can never become text; what may vary
 * in the text is a Fragment, made by fragment, name and list. Pure; running statements is sql.ts.
 */
import type { Fragment, Parameter } from "scale";

import { ScaleError } from "../std/errors.ts";
import type { Statement } from "../store/sql/sql.ts";

export type Value = Parameter | Fragment;

/** The driver's limit for one statement; the wire has 16 bits. */
const parametersMax = 65_533;

class Piece {
  readonly strings: readonly string[];
  readonly values: readonly Value[];

  constructor(strings: readonly string[], values: readonly Value[]) {
    this.strings = strings;
    this.values = values;
  }
}

const asFragment = (piece: Piece): Fragment => piece as unknown as Fragment;
const isPiece = (value: unknown): value is Piece => value instanceof Piece;

/** A piece of a statement, with values of its own. */
export function fragment(strings: TemplateStringsArray, ...values: readonly Value[]): Fragment {
  return asFragment(new Piece(template("sql.fragment", strings), values));
}

/** One identifier, quoted. A qualified name is two of them with a dot between. */
export function name(identifier: string): Fragment {
  if (typeof identifier !== "string" || identifier === "" || identifier.includes("\0")) {
    throw invalid(`sql.name got ${describe(identifier)}, expected the name of a column or table`);
  }
  return asFragment(new Piece([`"${identifier.replaceAll('"', '""')}"`], []));
}

/** Values separated by commas: `where id in (${sql.list(ids)})`. */
export function list(values: readonly Parameter[]): Fragment {
  if (!Array.isArray(values) || values.length === 0) {
    throw invalid(
      `sql.list got ${Array.isArray(values) ? "an empty array" : describe(values)}, expected at least one value`,
      "where id = any(${ids}) takes an empty array too",
    );
  }
  const commas = values.map((_, index) => (index === 0 ? "" : ", "));
  return asFragment(new Piece([...commas, ""], values));
}

const change =
  /^\s*(?:insert|update|delete|merge)\b|^\s*with\b[^]*\bas\s*(?:(?:not\s+)?materialized\s*)?\(\s*(?:insert|update|delete|merge)\b/i;

/** Whether a statement inserts, updates, deletes or merges, as far as its text says: what functions do is not in it. */
export function changesRows(text: string): boolean {
  return change.test(text);
}

/** A template without fragments always gives the same text. */
const texts = new WeakMap<TemplateStringsArray, string>();

/** The statement of a template. `asked` names the tag, for messages. */
export function statementOf(asked: string, strings: TemplateStringsArray, values: readonly Value[]): Statement {
  if (values.some(isPiece)) return compose(asked, template(asked, strings), values);
  let text = texts.get(strings);
  if (text === undefined) {
    text = compose(asked, template(asked, strings), values).text;
    texts.set(strings, text);
  }
  return { text, parameters: values.map((value, index) => parameter(asked, value, index + 1)) };
}

function compose(asked: string, strings: readonly string[], values: readonly Value[]): Statement {
  const parameters: Parameter[] = [];

  function write(pieces: readonly string[], between: readonly Value[]): string {
    let text = pieces[0]!;
    for (const [index, value] of between.entries()) {
      if (isPiece(value)) text += write(value.strings, value.values);
      else text += `$${parameters.push(parameter(asked, value, parameters.length + 1))}`;
      text += pieces[index + 1]!;
    }
    return text;
  }

  const text = write(strings, values);
  if (parameters.length > parametersMax) {
    throw invalid(
      `${asked} has ${parameters.length} values, expected at most ${parametersMax}`,
      "send many values as one array: any(${ids}), unnest(${names}::text[])",
    );
  }
  return { text, parameters };
}

/** Called as a function with a text, a tag would be the door to injection that it closes. */
function template(asked: string, strings: TemplateStringsArray): readonly string[] {
  if (Array.isArray(strings) && Array.isArray(strings.raw)) return strings;
  throw invalid(`${asked} was called with ${describe(strings)}, expected a template`, `${asked}\`select … \${value}\``);
}

function parameter(asked: string, value: Value, position: number): Parameter {
  const problem = problemOf(value);
  if (problem === undefined) return value as Parameter;
  throw invalid(`value ${position} of ${asked} is ${problem}`, "null is NULL, JSON.stringify(value) is JSON");
}

function problemOf(value: unknown): string | undefined {
  if (value === null) return undefined;
  switch (typeof value) {
    case "string":
    case "number":
    case "bigint":
    case "boolean":
      return undefined;
    case "object":
      return problemOfObject(value);
    default:
      return `${describe(value)}, which PostgreSQL has no type for`;
  }
}

function problemOfObject(value: object): string | undefined {
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? "an invalid Date" : undefined;
  if (value instanceof Uint8Array) return undefined;
  if (isPiece(value)) return "a fragment inside an array";
  if (Array.isArray(value)) return value.map(problemOf).find((problem) => problem !== undefined);
  return "an object, which PostgreSQL has no type for";
}

function describe(value: unknown): string {
  if (typeof value === "string") return "a plain string";
  return value === undefined || value === null ? String(value) : `a ${typeof value}`;
}

function invalid(message: string, hint?: string): ScaleError {
  return new ScaleError("statement_invalid", message, { hint });
}
