/**
 * One line a request, put byte by byte into a buffer that is flushed each second or at 64 KiB: a pino line costs 10–14 µs, a string
 * template 2–4, this one 1. Hot path: no object is serialised and no string joined; only texts that may hold anything are escaped.
 */
import { putNumber, putText } from "../std/put.ts";
import { writeLines } from "./log.ts";

/** What a line says. Durations in milliseconds, undefined fields are left out. */
export interface AccessEntry {
  readonly id: string;
  readonly ip: string;
  readonly method: string;
  /** A query after it, which may carry secrets, is left out. */
  readonly path: string;
  /** The route's pattern, or the service; bounded, unlike the path. */
  readonly route: string;
  readonly status: number;
  /** Milliseconds from the request's head to the end of its response. */
  readonly total: number;
  /** Of the response's body; left out where it is not known yet. */
  readonly bytes?: number | undefined;
  /** Target it was given to last (balancer only). */
  readonly target?: string | undefined;
  /** Milliseconds until a target had room, until there was a connection to it, until its response began (balancer only). */
  readonly phases?: { readonly queue: number; readonly connect: number; readonly firstByte: number };
  readonly retries?: number | undefined;
  /** Code of the error that ended it. */
  readonly error?: string | undefined;
}

const bufferBytesMax = 64 * 1024;
const flushMilliseconds = 1_000;
/** What a line has besides the texts it is given; each byte of those takes at most six (\u0000). */
const lineBytesMax = 512;
const escapedBytesMax = 6;

let enabled = true;
let prefix: Buffer = Buffer.alloc(0);
let buffer = Buffer.allocUnsafeSlow(bufferBytesMax);
let at = 0;
let timer: ReturnType<typeof setTimeout> | undefined;
/** The second in which the last line was written, as milliseconds and as text up to its dot. */
let secondAt = 0;
let second = "";

/** Turns the log on or off and sets who writes. */
export function configureAccessLog(config: {
  readonly accessLog: boolean;
  readonly command: string;
  readonly instance: string | undefined;
}): void {
  enabled = config.accessLog;
  const instance = config.instance === undefined ? "" : `"instance":${JSON.stringify(config.instance)},`;
  prefix = Buffer.from(`{"level":"info","role":"${config.command}",${instance}"time":"`);
}

/** Appends one line. `now` is milliseconds since the epoch, read once by the caller. */
export function logAccess(entry: AccessEntry, now: number): void {
  if (!enabled) return;
  const { path, route, id, ip, target = "", error = "" } = entry;
  begin(path.length + route.length + id.length + ip.length + target.length + error.length, now);
  put(',"message":"request","id":"');
  put(entry.id);
  put('","ip":"');
  put(entry.ip);
  put('","method":"');
  put(entry.method);
  put('","path":');
  const query = path.indexOf("?");
  putQuoted(query === -1 ? path : path.slice(0, query));
  put(',"route":');
  putQuoted(entry.route);
  put(',"status":');
  at = putNumber(buffer, at, entry.status);
  put(',"total_ms":');
  putMilliseconds(entry.total);
  putOptional(entry);
  end();
}

function putOptional(entry: AccessEntry): void {
  if (entry.bytes !== undefined) {
    put(',"bytes":');
    at = putNumber(buffer, at, entry.bytes);
  }
  if (entry.target !== undefined) putTarget(entry.target, entry.phases!);
  if (entry.retries) {
    put(',"retries":');
    at = putNumber(buffer, at, entry.retries);
  }
  if (entry.error !== undefined) {
    put(',"error":');
    putQuoted(entry.error);
  }
}

/** A phase that took no time, as on a connection that was kept, is left out. */
function putTarget(target: string, { queue, connect, firstByte }: NonNullable<AccessEntry["phases"]>): void {
  put(',"target":"');
  put(target);
  put('"');
  if (queue > 0) {
    put(',"queue_ms":');
    putMilliseconds(queue);
  }
  if (connect > 0) {
    put(',"connect_ms":');
    putMilliseconds(connect);
  }
  if (firstByte > 0) {
    put(',"first_byte_ms":');
    putMilliseconds(firstByte);
  }
}

/** Appends a line of another kind, such as a job's. `fields` is JSON without its braces. */
export function logLine(fields: string, now: number): void {
  if (!enabled) return;
  begin(fields.length, now);
  put(",");
  at += buffer.write(fields, at, "utf8");
  end();
}

/** Writes what is buffered; main calls it before it exits. */
export function flushAccessLog(): void {
  clearTimeout(timer);
  timer = undefined;
  if (at === 0) return;
  writeLines(buffer.subarray(0, at));
  at = 0;
}

/** Makes room for a line with texts of `length` characters and puts what every line begins with. */
function begin(length: number, now: number): void {
  const needed = prefix.length + lineBytesMax + escapedBytesMax * length;
  if (at + needed > buffer.length) flushAccessLog();
  if (needed > buffer.length) buffer = Buffer.allocUnsafeSlow(needed);
  const millisecond = now % 1_000;
  if (now - millisecond !== secondAt) {
    secondAt = now - millisecond;
    second = new Date(secondAt).toISOString().slice(0, -4);
  }
  at += prefix.copy(buffer, at);
  put(second);
  putDigits(millisecond, 3);
  put('Z"');
}

function end(): void {
  put("}\n");
  timer ??= setTimeout(flushAccessLog, flushMilliseconds);
}

/** Puts a text that needs no escaping. */
function put(text: string): void {
  at = putText(buffer, at, text);
}

/** Puts a text as a JSON string: as it is while it is visible ASCII without quote and backslash, which is nearly always. */
function putQuoted(text: string): void {
  const start = at;
  buffer[at++] = 0x22;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code < 0x20 || code > 0x7e || code === 0x22 || code === 0x5c) {
      at = start + buffer.write(JSON.stringify(text), start, "utf8");
      return;
    }
    buffer[at++] = code;
  }
  buffer[at++] = 0x22;
}

function putMilliseconds(milliseconds: number): void {
  const hundredths = Math.max(0, Math.round(milliseconds * 100));
  at = putNumber(buffer, at, Math.floor(hundredths / 100));
  put(".");
  putDigits(hundredths % 100, 2);
}

/** Puts `value` with leading zeros. */
function putDigits(value: number, digits: number): void {
  let rest = value;
  for (let index = at + digits - 1; index >= at; index--) {
    buffer[index] = 0x30 + (rest % 10);
    rest = Math.floor(rest / 10);
  }
  at += digits;
}
