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
  return continueTrace(value ?? "") ?? beginTrace(false);
}

const idBytes = 16;
const parentBytes = 8;
const bytesEach = idBytes + parentBytes;
/** Made at a time: asking for random bytes one trace at a time costs more than all the rest of it. */
const traces = 128;
const random = Buffer.alloc(bytesEach * traces);
let digits = "";
let next = traces;

/** A new trace: random ids, marked as sampled or not. */
export function beginTrace(isSampled: boolean): Trace {
  if (next === traces) {
    digits = crypto.getRandomValues(random).toString("hex");
    next = 0;
  }
  const at = next++ * bytesEach * 2;
  const id = digits.slice(at, at + idBytes * 2);
  const parent = digits.slice(at + idBytes * 2, at + bytesEach * 2);
  return { id, traceparent: `00-${id}-${parent}-${isSampled ? "01" : "00"}` };
}
