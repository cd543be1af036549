/**
 * Byte classes of RFC 9110 and 9112 as tables: one load and one compare a byte, which is what a head costs. Anything that is not
 * a class of bytes (a field's meaning, a line's shape) is not here.
 */

/** Membership of each byte, 1 or 0. A table is indexed with a byte only: reading past the end gives undefined, which is no member. */
export type ByteClass = Readonly<Uint8Array>;

export const CR = 0x0d;
export const LF = 0x0a;
export const SP = 0x20;
export const HTAB = 0x09;
export const COLON = 0x3a;
export const SLASH = 0x2f;

function classOf(...members: readonly (string | readonly [number, number])[]): ByteClass {
  const table = new Uint8Array(256);
  for (const member of members) {
    if (typeof member === "string") for (const byte of Buffer.from(member, "latin1")) table[byte] = 1;
    else table.fill(1, member[0], member[1] + 1);
  }
  return table;
}

const alpha = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
const digit = "0123456789";

/** token (RFC 9110 §5.6.2): methods and field names. */
export const tokenByte = classOf(alpha, digit, "!#$%&'*+-.^_`|~");

/** What a line of a head may hold between its CRLFs: field-vchar, SP and HTAB (RFC 9110 §5.5). No CR, LF, NUL or other control. */
export const lineByte = classOf("\t", [0x20, 0x7e], [0x80, 0xff]);

/** A request-target's bytes: visible ASCII without "#", which no request-target can contain (RFC 9112 §3.2). */
export const targetByte = classOf([0x21, 0x22], [0x24, 0x7e]);

/** A host's bytes without port: names, IPv4, and what stands between the brackets of an IP-literal (RFC 3986 §3.2.2, without
 *  sub-delims and percent-encoding: names on the wire are DNS names, and a comma here has been two Host fields joined). */
export const hostByte = classOf(alpha, digit, "-._~");
export const ipLiteralByte = classOf("0123456789abcdefABCDEF:.");

/** Value of each hexadecimal digit, 255 for anything else. */
export const hexValue: ByteClass = Uint8Array.from({ length: 256 }, (_, byte) => {
  const value = Number.parseInt(String.fromCharCode(byte), 16);
  return Number.isNaN(value) ? 255 : value;
});

/** Whether [start, end) is exactly `word`. */
export function matchesAt(bytes: Uint8Array, start: number, end: number, word: Uint8Array): boolean {
  if (end - start !== word.length) return false;
  for (let index = 0; index < word.length; index++) if (bytes[start + index] !== word[index]) return false;
  return true;
}

/** Whether [start, end) is `text`, which is not empty. */
export function isText(bytes: Uint8Array, start: number, end: number, text: string): boolean {
  if (end - start !== text.length || start === end) return false;
  for (let index = 0; index < text.length; index++) if (bytes[start + index] !== text.charCodeAt(index)) return false;
  return true;
}
