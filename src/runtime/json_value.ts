/** What JSON can carry without loss. Used where a value is stored now and decoded later: cache entries and job payloads. */

const depthMax = 64;
/** What is shown of a path that deep: a circle repeats itself. */
const deepPathCharsMax = 80;

/**
 * Throws a TypeError that names the path of the first value JSON would lose or change: undefined in a list, NaN, bigint, a function,
 * a Map. An undefined property is absent on both sides, and what has toJSON (a Date) is carried as what that returns.
 */
export function assertJson(value: unknown, what: string): void {
  check(value, what, 0);
}

function check(value: unknown, path: string, depth: number): void {
  switch (typeof value) {
    case "string":
    case "boolean":
      return;
    case "number":
      if (!Number.isFinite(value)) refuse(path, String(value));
      return;
    case "object":
      if (value !== null) checkObject(value, path, depth);
      return;
    default:
      if (typeof value === "bigint") refuse(path, "a bigint", "; send it as a string");
      refuse(path, typeof value);
  }
}

function checkObject(value: object, path: string, depth: number): void {
  if (depth >= depthMax) refuse(`${path.slice(0, deepPathCharsMax)}…`, `nested deeper than ${depthMax}, or a circle`);
  if (typeof (value as { toJSON?: unknown }).toJSON === "function") return;
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) check(item, `${path}[${index}]`, depth + 1);
    return;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) refuse(path, `a ${value.constructor.name}`);
  for (const [key, item] of Object.entries(value)) if (item !== undefined) check(item, `${path}.${key}`, depth + 1);
}

function refuse(path: string, got: string, advice = ""): never {
  throw new TypeError(`${path} is ${got}, which JSON cannot carry${advice}`);
}
