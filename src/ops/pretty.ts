/** A JSON log line as a person reads it on a terminal. */
import { visible } from "../std/visible.ts";

const colours: { readonly [level: string]: string } = {
  debug: "\x1b[90m",
  info: "\x1b[32m",
  warn: "\x1b[33m",
  error: "\x1b[31m",
};
const dim = "\x1b[2m";
const plain = "\x1b[0m";
/** Said by the prefix or by the message itself ("starting → ready"). */
const hidden = new Set(["level", "time", "message", "role", "instance", "from", "to"]);

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
    .filter(([key, value]) => !hidden.has(key) && !isError(key, value))
    .map(([key, value]) => `${key}=${visible(typeof value === "string" ? value : JSON.stringify(value))}`);
  const head = `${dim}${time}${plain} ${colours[level] ?? ""}${level.padEnd(5)}${plain} ${visible(String(entry["message"] ?? ""))}`;
  return `${head} ${dim}${fields.join(" ")}${plain}\n${errorText(entry["error"])}`;
}

function isError(key: string, value: unknown): boolean {
  return key === "error" && typeof value === "object" && value !== null;
}

/** An error's stack on lines of its own; its code, where a line has only that, is a field like any other. */
function errorText(error: unknown): string {
  if (!isError("error", error)) return "";
  const { stack, message, hint } = error as {
    readonly stack?: string;
    readonly message?: string;
    readonly hint?: string;
  };
  const text = (stack || message || JSON.stringify(error)) + (hint === undefined ? "" : `\nFix: ${hint}`);
  return `      ${visible(text).replaceAll("\n", "\n      ")}\n`;
}
