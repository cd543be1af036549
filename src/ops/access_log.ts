/**
 * One line a request, put byte by byte into a buffer that is flushed each second or at 64 KiB: a pino line costs 10–14 µs, a string
 * template 2–4, this one 1. Hot path: no object is serialised and no string joined; only texts that may hold anything are escaped.
 */
import { int32Max, putNumber, putText } from "../std/put.ts";
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
/** The second in which the last line was written, in milliseconds, and what a line of it begins with, up to the second's dot. */
let secondAt = Number.NEGATIVE_INFINITY;
let beginning: Buffer = prefix;

/** Turns the log on or off and sets who writes. */
export function configureAccessLog(config: {
  readonly accessLog: boolean;
  readonly command: string;
  readonly instance: string | undefined;
}): void {
  enabled = config.accessLog;
  const instance = config.instance === undefined ? "" : `"instance":${JSON.stringify(config.instance)},`;
  secondAt = Number.NEGATIVE_INFINITY;
  prefix = Buffer.from(`{"level":"info","role":"${config.command}",${instance}"time":"`);
}

const requestBegins = Buffer.from('Z","message":"request","id":"');

/** Appends one line. `now` is milliseconds since the epoch, read once by the caller. */
export function logAccess(entry: AccessEntry, now: number): void {
  if (!enabled) return;
  const { path, route, id, ip, target = "", error = "" } = entry;
  begin(path.length + route.length + id.length + ip.length + target.length + error.length, now);
  at += requestBegins.copy(buffer, at);
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
  put('Z",');
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
  if (now < secondAt || now >= secondAt + 1_000) beginSecond(now);
  at += beginning.copy(buffer, at);
  putDigits(now - secondAt, 3);
}

function beginSecond(now: number): void {
  secondAt = now - (now % 1_000);
  beginning = Buffer.concat([prefix, Buffer.from(new Date(secondAt).toISOString().slice(0, -4))]);
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
  let next = start;
  buffer[next++] = 0x22;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code < 0x20 || code > 0x7e || code === 0x22 || code === 0x5c) {
      at = start + buffer.write(JSON.stringify(text), start, "utf8");
      return;
    }
    buffer[next++] = code;
  }
  buffer[next++] = 0x22;
  at = next;
}

/** With two decimals. A duration that is no 32-bit number of hundredths, 248 days, is said to be the longest that is. */
function putMilliseconds(milliseconds: number): void {
  const hundredths = Math.min(Math.max(0, Math.round(milliseconds * 100)), int32Max) | 0;
  const whole = (hundredths / 100) | 0;
  at = putNumber(buffer, at, whole);
  put(".");
  putDigits(hundredths - whole * 100, 2);
}

/** Puts a small `value` with leading zeros. */
function putDigits(value: number, digits: number): void {
  let rest = value | 0;
  for (let index = at + digits - 1; index >= at; index--) {
    const tens = (rest / 10) | 0;
    buffer[index] = 0x30 + rest - tens * 10;
    rest = tens;
  }
  at += digits;
}
