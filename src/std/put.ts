/**
 * Text into a buffer, without joining strings first: joined strings are garbage, and garbage was the largest part of a proxied request's
 * cost after the kernel's. Hot.
 */
export const int32Max = 0x7fff_ffff;
/** Longer texts are worth a native call. */
const loopMax = 64;

/** Writes latin1 `text` at `at`; returns the index after it. */
export function putText(out: Buffer, at: number, text: string): number {
  const { length } = text;
  if (length > loopMax) return at + out.write(text, at, "latin1");
  for (let index = 0; index < length; index++) out[at + index] = text.charCodeAt(index);
  return at + length;
}

export function putCrlf(out: Buffer, at: number): number {
  out[at] = 0x0d;
  out[at + 1] = 0x0a;
  return at + 2;
}

/** "name: value" and CRLF: a field of a head. */
export function putLine(out: Buffer, at: number, name: string, value: string): number {
  let next = putText(out, at, name);
  out[next++] = 0x3a;
  out[next++] = 0x20;
  next = putText(out, next, value);
  return putCrlf(out, next);
}

/** A whole number, not negative, in decimal. */
export function putNumber(out: Buffer, at: number, value: number): number {
  return value <= int32Max ? putInt32(out, at, value) : putText(out, at, String(value));
}

/** Half the cost of division and remainder of numbers that may be larger. */
function putInt32(out: Buffer, at: number, value: number): number {
  let digits = 1;
  for (let rest = value; rest >= 10; rest = (rest / 10) | 0) digits++;
  let rest = value;
  for (let index = at + digits - 1; index >= at; index--) {
    const tens = (rest / 10) | 0;
    out[index] = 0x30 + rest - tens * 10;
    rest = tens;
  }
  return at + digits;
}
