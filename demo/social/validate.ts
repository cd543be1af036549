/**
 * What comes from outside becomes typed here, once. A body answers 422 with every wrong field named, so that a form can show each
 * message beside its input; an id that cannot exist answers 404 before it reaches the database.
 */
import { HttpError } from "scale";

/** The cleaned value, or what is wrong with it, said to the person who typed it. */
type Checked = { readonly value: string } | { readonly wrong: string };
type Rule = (given: string) => Checked;

const idMax = 2n ** 63n - 1n;
const emailCharactersMax = 254;

/** A name or a title: one line, space around it does not count. */
export const line =
  (charactersMax: number): Rule =>
  (given) => {
    const value = given.trim();
    if (value === "") return { wrong: "is missing" };
    if (/\p{Cc}/u.test(value)) return { wrong: "must be a single line" };
    return atMost(charactersMax, value);
  };

/** Several lines, space around them does not count. */
export const text =
  (charactersMax: number): Rule =>
  (given) => {
    const value = given.trim();
    if (value === "") return { wrong: "is missing" };
    // PostgreSQL has no NUL in text.
    if (value.includes("\0")) return { wrong: "contains a character that cannot be stored" };
    return atMost(charactersMax, value);
  };

/** Only its shape is checked: whether it exists, a mail will tell. Lower case, so that one address is one account. */
export const email: Rule = (given) => {
  const value = given.trim().toLowerCase();
  if (value === "") return { wrong: "is missing" };
  // Before the shape: that takes time with the square of the length, and a body may be large.
  const short = atMost(emailCharactersMax, value);
  if ("wrong" in short || /^[^\s\p{Cc}@]+@[^\s\p{Cc}@]+\.[^\s\p{Cc}@]+$/u.test(value)) return short;
  return { wrong: "is not an e-mail address" };
};

/** Taken as it is, space included. The upper bound keeps hashing cheap. */
export const password =
  (charactersMin: number, charactersMax: number): Rule =>
  (given) => {
    if (given === "") return { wrong: "is missing" };
    if (given.length < charactersMin) return { wrong: `needs at least ${charactersMin} characters` };
    return atMost(charactersMax, given);
  };

function atMost(charactersMax: number, value: string): Checked {
  if (value.length > charactersMax) return { wrong: `has ${value.length} characters, at most ${charactersMax} fit` };
  return { value };
}

/** The JSON object in the body, every field checked by its rule. 400 when it is not JSON, 422 when a field is wrong. */
export async function body<F extends string>(
  req: Request,
  rules: { readonly [K in F]: Rule },
): Promise<{ [K in F]: string }> {
  const given = await jsonObject(req);
  const fields = new Map<string, string>();
  const values = new Map<string, string>();
  for (const name of Object.keys(given)) if (!Object.hasOwn(rules, name)) fields.set(name, "is not a field here");
  for (const [name, rule] of Object.entries<Rule>(rules)) {
    const checked = check(rule, given[name]);
    if ("wrong" in checked) fields.set(name, checked.wrong);
    else values.set(name, checked.value);
  }
  if (fields.size > 0) throw invalid(Object.fromEntries(fields));
  return Object.fromEntries(values) as { [K in F]: string };
}

/** A 422 that names fields. */
export function invalid(fields: { readonly [name: string]: string }): HttpError {
  const sentence = Object.entries(fields).map(([name, wrong]) => `${name} ${wrong}`);
  return new HttpError(422, sentence.join("; "), { code: "invalid", fields });
}

function check(rule: Rule, given: unknown): Checked {
  if (given === undefined || given === null) return { wrong: "is missing" };
  if (typeof given !== "string") return { wrong: "must be a string" };
  if (!given.isWellFormed()) return { wrong: "is not valid Unicode" };
  return rule(given);
}

async function jsonObject(req: Request): Promise<{ readonly [name: string]: unknown }> {
  const given = await req.text();
  let value: unknown;
  try {
    value = JSON.parse(given);
  } catch {
    throw new HttpError(400, "the body is not JSON", { code: "malformed" });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new HttpError(422, "the body must be a JSON object", { code: "invalid", fields: {} });
  }
  return { ...value };
}

/** An id out of a path. What is no positive 64-bit number names nothing: 404. */
export function id(given: string, what: string): string {
  if (!/^[1-9]\d{0,18}$/.test(given) || BigInt(given) > idMax) throw notFound(what);
  return given;
}

export function notFound(what: string): HttpError {
  return new HttpError(404, `there is no such ${what}`, { code: "not_found" });
}
