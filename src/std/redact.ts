/** What is secret, in one list for logs, pages, errors and the command line. What writes the line is not here. */

/** Names of fields whose value is never shown, at any depth: password, access_token, refreshToken, clientSecret, set-cookie … */
const secretField = /pass(?:word|wd|phrase)|secret|token|authorization|cookie|api[-_]?key|private[-_]?key/i;

export const redacted = "[redacted]";

/** Names an operator adds, in lower case. */
let alsoSecret: ReadonlySet<string> = new Set();

/** Masks these fields too, whatever their case, from here on. */
export function redactAlso(fields: readonly string[]): void {
  alsoSecret = new Set(fields.map((field) => field.toLowerCase()));
}

function isSecret(field: string): boolean {
  return secretField.test(field) || (alsoSecret.size > 0 && alsoSecret.has(field.toLowerCase()));
}

/**
 * Masks the password of every URL inside a text: postgres://app:•••@ keeps what is needed to recognise it. It reaches to the last @
 * before the path, because people forget to encode one; a password given as a parameter is masked too. How far a scheme is looked for
 * is bounded, so that a long text without one takes time in proportion to its length.
 */
export function redactUrls(text: string): string {
  return text
    .replace(/([a-z][a-z0-9+.-]{0,30}:\/\/[^\s:/?#@]*):[^\s/?#]+@/gi, "$1:•••@")
    .replace(/([?&][\w-]*(?:password|secret|token)=)[^\s&#]+/gi, "$1•••");
}

const depthMax = 6;

/** A copy of `value` with every secret field masked and passwords in URLs hidden; deeper than six levels is cut. */
export function redact(value: unknown, depth = 0): unknown {
  if (typeof value === "string") return redactUrls(value);
  if (typeof value !== "object" || value === null) return value;
  if (depth >= depthMax) return "[deep]";
  if (value instanceof Error) return redactError(value, depth);
  if (Array.isArray(value)) return value.map((item) => redact(item, depth + 1));
  if (value instanceof Date || typeof (value as { toJSON?: unknown }).toJSON === "function") return value;
  const copy: { [key: string]: unknown } = {};
  for (const [key, item] of Object.entries(value)) {
    copy[key] = isSecret(key) ? redacted : redact(item, depth + 1);
  }
  return copy;
}

/** What helps to find the fault. Other fields of an error (a driver's parameters) may hold anything and stay out. */
function redactError(error: Error, depth: number): unknown {
  const { name, message, stack = "", cause, code, hint } = error as Error & { code?: unknown; hint?: unknown };
  return {
    name,
    message: redactUrls(message),
    ...(code === undefined ? {} : { code }),
    ...(hint === undefined ? {} : { hint }),
    stack: redactUrls(stack),
    ...(cause === undefined ? {} : { cause: redact(cause, depth + 1) }),
  };
}
