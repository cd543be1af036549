/**
 * The log of every role: JSON lines on stdout, or pretty ones on a terminal. One writer owns the descriptor, so that access lines
 * (access_log.ts) and these never tear each other. Redaction is std/redact.ts.
 */
import { fstatSync } from "node:fs";

import pino, { type Logger } from "pino";

import type { Config } from "../config/options.ts";
import { redact, redactUrls } from "../std/redact.ts";
import { prettyLine } from "./pretty.ts";

export type Fields = { readonly [key: string]: unknown };

/** A log whose lines all carry the fields it was made with. */
export interface Log {
  debug(fields: Fields, message?: string): void;
  info(fields: Fields, message?: string): void;
  warn(fields: Fields, message?: string): void;
  error(fields: Fields, message?: string): void;
  child(fields: Fields): Log;
}

/** Bytes waiting for a reader of stdout that has stopped; beyond it lines are dropped and counted, the service goes on. */
const bufferBytesMax = 16 * 1024 * 1024;

const closeMilliseconds = 1_000;

/** A file takes lines at once. A pipe or a terminal may stop taking them, which must not hold up the service. */
const isFile = fstatSync(1).isFile();
const stdout = pino.destination({ dest: 1, sync: isFile, maxLength: bufferBytesMax, contentMode: "buffer" });
let dropped = 0;
stdout.on("drop", () => dropped++);
/** Nobody will read any more. */
let isGone = false;
// A reader that went away (head, a closed terminal) must not take the service with it. What is left for it would be tried again and again
// when the process exits (pino does that for all but a broken pipe): let go of it here. A file may have room again.
stdout.on("error", () => {
  if (isFile) return;
  isGone = true;
  stdout.destroy();
});

let pretty = false;
const sink = { write: (lines: string) => writeBytes(Buffer.from(pretty ? prettyLines(lines) : lines)) };
let root: Logger = pinoAt("info", {});

/** Sets level, form and the fields of every line. Called once, by main, before anything else logs. */
export function configureLog(config: Pick<Config, "command" | "logLevel" | "logFormat" | "instance">): void {
  pretty = config.logFormat === "pretty" || (config.logFormat === "auto" && process.stdout.isTTY);
  root = pinoAt(config.logLevel, { role: config.command, instance: config.instance });
}

function pinoAt(level: string, base: Fields): Logger {
  return pino(
    {
      level,
      base,
      messageKey: "message",
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: {
        level: (label) => ({ level: label }),
        log: (fields) => redact(fields) as { [key: string]: unknown },
      },
    },
    sink,
  );
}

function bind(logger: () => Logger, bound: Fields | undefined): Log {
  const line = (level: "debug" | "info" | "warn" | "error") => (fields: Fields, message?: string) =>
    logger()[level](bound ? { ...bound, ...fields } : fields, message === undefined ? undefined : redactUrls(message));
  return {
    debug: line("debug"),
    info: line("info"),
    warn: line("warn"),
    error: line("error"),
    child: (fields) => bind(logger, { ...bound, ...fields }),
  };
}

/** The process's log. */
export const log: Log = bind(() => root, undefined);

/** Writes finished lines past pino, each with its newline: the access log's, which uses the bytes again afterwards. */
export function writeLines(lines: Buffer): void {
  if (pretty) sink.write(lines.toString());
  else writeBytes(isFile ? lines : Buffer.from(lines));
}

/** The types know a destination of text only. */
function writeBytes(lines: Buffer): void {
  if (isGone) dropped++;
  else stdout.write(lines as unknown as string);
}

/** Lines lost because nobody read stdout. */
export function droppedLines(): number {
  return dropped;
}

/** Writes what is left, for a second at most; main calls it last. A reader that is gone must not keep the process alive. */
export async function closeLog(): Promise<void> {
  if (isGone) return;
  const written = Promise.withResolvers<void>();
  stdout.once("close", written.resolve);
  stdout.once("error", () => written.resolve());
  // Not flushSync: it tries a broken pipe again and again, for ever.
  stdout.end();
  await Promise.race([written.promise, Bun.sleep(closeMilliseconds)]);
}

function prettyLines(lines: string): string {
  return lines
    .split("\n")
    .filter((line) => line !== "")
    .map(prettyLine)
    .join("");
}
