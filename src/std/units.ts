/**
 * Durations, sizes, counts and addresses as people write them. Every parser throws ExpectedError with the form it wanted, so that
 * the caller can say where the text came from (config) or which argument it was (the module "scale").
 */

/** What a text should have been: completes the sentence "expected …". */
export class ExpectedError extends Error {
  readonly expected: string;

  constructor(expected: string) {
    super(`expected ${expected}`);
    this.name = "ExpectedError";
    this.expected = expected;
  }
}

const millisecondsPer = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const bytesPer = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 } as const;

const durationForm = "a duration such as 250ms, 10s, 5m, 1h or 30d";
const sizeForm = "a size such as 512B, 64KiB, 10MiB or 1GiB";

/** "250ms" | "10s" | "5m" | "1h" | "30d", or a number of milliseconds, as milliseconds. */
export function parseDuration(value: string | number): number {
  if (typeof value === "number") {
    if (Number.isFinite(value) && value >= 0) return value;
    throw new ExpectedError(durationForm);
  }
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(value);
  if (match) return Number(match[1]) * millisecondsPer[match[2] as keyof typeof millisecondsPer];
  if (value === "0") return 0;
  throw new ExpectedError(durationForm);
}

/** parseDuration for an argument: a RangeError that names `what`, what it got and what it expected, within the bounds (ms). */
export function durationOf(what: string, value: string | number, min: number, max: number): number {
  let milliseconds = Number.NaN;
  try {
    milliseconds = parseDuration(value);
  } catch (error) {
    if (!(error instanceof ExpectedError)) throw error;
  }
  if (milliseconds >= min && milliseconds <= max) return milliseconds;
  const bounds = `between ${formatDuration(min)} and ${formatDuration(max)}`;
  throw new RangeError(`${what} is ${JSON.stringify(value)}, expected ${durationForm}, ${bounds}`);
}

/** "10MiB" as bytes. Binary units only: a limit that is 2.4 % off is a limit nobody can reason about. */
export function parseBytes(value: string): number {
  const match = /^(\d+)(B|KiB|MiB|GiB)$/.exec(value);
  if (match) return Number(match[1]) * bytesPer[match[2] as keyof typeof bytesPer];
  if (value === "0") return 0;
  throw new ExpectedError(sizeForm);
}

/** A whole number between `min` and `max`, both included. */
export function parseCount(value: string, min: number, max: number): number {
  const number = /^\d+$/.test(value) ? Number(value) : Number.NaN;
  if (number >= min && number <= max) return number;
  throw new ExpectedError(`a whole number ${min}–${max}`);
}

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** "0.0.0.0:8080", "[::1]:8080", "localhost:8080", or a bare port, which means `defaultHost`. Port 0 asks for a free one. */
export function parseHostPort(value: string, defaultHost: string): HostPort {
  const match = /^(?:(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):)?(\d{1,5})$/.exec(value);
  const port = Number(match?.[2] ?? Number.NaN);
  if (!match || !(port <= 65_535)) throw new ExpectedError("HOST:PORT or a port 1–65535");
  return { host: match[1] ?? defaultHost, port };
}

export function formatHostPort(address: HostPort): string {
  return `${address.host}:${address.port}`;
}

/** Milliseconds for a person: 0.4ms, 12ms, 3.2s, 4m10s. */
export function formatDuration(milliseconds: number): string {
  if (milliseconds < 10) return `${Math.round(milliseconds * 10) / 10}ms`;
  if (milliseconds < 1_000) return `${Math.round(milliseconds)}ms`;
  if (milliseconds < 60_000) return `${Math.round(milliseconds / 100) / 10}s`;
  const seconds = Math.round(milliseconds / 1_000);
  if (seconds >= 86_400 && seconds % 86_400 === 0) return `${seconds / 86_400}d`;
  return `${Math.floor(seconds / 60)}m${seconds % 60}s`;
}
