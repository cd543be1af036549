/**
 * The trace a request belongs to, as W3C Trace Context level 1 carries it: https://www.w3.org/TR/trace-context/#traceparent-header.
 * scale records no spans, so a trace is passed on with the parent it came with, and begun where there is none.
 */

export interface Trace {
  /** 32 hexadecimal digits. */
  readonly id: string;
  /** The field's value as it goes on. */
  readonly traceparent: string;
}

const form = /^(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const knownFlags = 0x01;

/** The trace that the value names; undefined if it is invalid, and a new one must begin (§3.2.2.5, §4.3). */
export function continueTrace(value: string): Trace | undefined {
  const [, version, id, parent, flags, more] = form.exec(value) ?? [];
  if (id === undefined) return undefined;
  if (version === "00") return more === undefined ? { id, traceparent: value } : undefined;
  // A later version is continued in ours, as far as ours goes.
  const known = Number.parseInt(flags!, 16) & knownFlags;
  return { id, traceparent: `00-${id}-${parent}-0${known}` };
}

/** The trace that the value names, or a new one that nobody asked to record. */
export function traceOf(value: string | null | undefined): Trace {
  return continueTrace(value ?? "") ?? continueTrace(newTraceparent(false))!;
}

/** 00-32 digits-16 digits-01 */
const valueCharacters = 55;
const hyphens = [2, 35, 52];
/** Made at a time: asking for random bytes one trace at a time costs more than all the rest of it. */
const traces = 128;
const values = Buffer.alloc(valueCharacters * traces);
const random = Buffer.alloc(values.length >> 1);
let made = "";
let next = traces;

/** The value of traceparent for a new trace: random ids, marked as sampled or not. */
export function newTraceparent(isSampled: boolean): string {
  if (next === traces) makeMore();
  const at = next++ * valueCharacters;
  return isSampled ? made.slice(at, at + valueCharacters) : `${made.slice(at, at + valueCharacters - 1)}0`;
}

/** Random digits everywhere, and what stands between them written over. */
function makeMore(): void {
  values.write(crypto.getRandomValues(random).toString("hex"), 0, "latin1");
  for (let at = 0; at < values.length; at += valueCharacters) {
    values[at] = values[at + 1] = values[at + valueCharacters - 2] = 0x30;
    values[at + valueCharacters - 1] = 0x31;
    for (const hyphen of hyphens) values[at + hyphen] = 0x2d;
  }
  made = values.toString("latin1");
  next = 0;
}
