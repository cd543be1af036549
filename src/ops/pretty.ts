/** A JSON log line as a person reads it on a terminal. */

const colours: { readonly [level: string]: string } = {
  debug: "\x1b[90m",
  info: "\x1b[32m",
  warn: "\x1b[33m",
  error: "\x1b[31m",
};
const dim = "\x1b[2m";
const plain = "\x1b[0m";
const hidden = new Set(["level", "time", "message", "role", "instance", "error"]);

/** One coloured line, followed by an error's stack where there is one. What is not JSON is passed on. */
export function prettyLine(line: string): string {
  let entry: { readonly [key: string]: unknown };
  try {
    entry = JSON.parse(line) as typeof entry;
  } catch {
    return `${line}\n`;
  }
  const level = String(entry["level"]);
  const time = String(entry["time"]).slice(11, 23);
  const fields = Object.entries(entry)
    .filter(([key, value]) => !hidden.has(key) && value !== undefined)
    .map(([key, value]) => `${key}=${typeof value === "string" ? value : JSON.stringify(value)}`);
  const head = `${dim}${time}${plain} ${colours[level] ?? ""}${level.padEnd(5)}${plain} ${String(entry["message"] ?? "")}`;
  return `${head} ${dim}${fields.join(" ")}${plain}\n${errorText(entry["error"])}`;
}

function errorText(error: unknown): string {
  if (typeof error !== "object" || error === null) return error === undefined ? "" : `      ${String(error)}\n`;
  const { stack, message } = error as { readonly stack?: string; readonly message?: string };
  return `      ${(stack || message || JSON.stringify(error)).replaceAll("\n", "\n      ")}\n`;
}
