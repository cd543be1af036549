/**
 * How long a message's body is (RFC 9112 §6), decided from Content-Length and Transfer-Encoding alone. Every form that two
 * implementations could read differently is refused: that difference is what request smuggling is made of.
 */
import { type ErrorCode, ScaleError } from "../../std/errors.ts";
import { equalsIgnoringCase } from "../fields.ts";

/** Value of a Content-Length not seen. */
export const notGiven = -1;

const chunked = Buffer.from("chunked", "latin1");
/** 15 digits stay below 2^53. */
const lengthDigitsMax = 15;

/** Collects the framing fields of one head. */
export class Framing {
  contentLength: number = notGiven;
  isChunked = false;
  readonly #malformedCode: ErrorCode;

  constructor(malformedCode: ErrorCode) {
    this.#malformedCode = malformedCode;
  }

  clear(): void {
    this.contentLength = notGiven;
    this.isChunked = false;
  }

  /** One Content-Length field. Identical duplicates are one; lists, signs and anything but digits are refused. */
  contentLengthField(bytes: Uint8Array, start: number, end: number): void {
    if (end === start || end - start > lengthDigitsMax)
      throw this.#malformed("Content-Length is not a number of bytes");
    let value = 0;
    for (let at = start; at < end; at++) {
      const digit = bytes[at]! - 0x30;
      if (digit < 0 || digit > 9) throw this.#malformed("Content-Length is not a number of bytes");
      value = value * 10 + digit;
    }
    if (this.contentLength !== notGiven && this.contentLength !== value) {
      throw this.#malformed("Content-Length is given twice and differs");
    }
    this.contentLength = value;
  }

  /** One Transfer-Encoding field: exactly "chunked", exactly once. No other coding is implemented (RFC 9112 §6.1: 501). */
  transferEncodingField(bytes: Uint8Array, start: number, end: number): void {
    if (this.isChunked) throw this.#malformed("Transfer-Encoding is given twice");
    if (!equalsIgnoringCase(bytes, start, end, chunked)) throw this.#unknownCoding(bytes, start, end);
    this.isChunked = true;
  }

  /** Both at once is how requests are smuggled (RFC 9112 §6.3 item 3); HTTP/1.0 knows no transfer coding. */
  check(minorVersion: number): void {
    if (!this.isChunked) return;
    if (this.contentLength !== notGiven) throw this.#malformed("Content-Length and Transfer-Encoding are both given");
    if (minorVersion === 0) throw this.#malformed("Transfer-Encoding is given in HTTP/1.0");
  }

  #malformed(message: string): ScaleError {
    return new ScaleError(this.#malformedCode, message);
  }

  /** "gzip, chunked" is a coding we do not know; "chunked, gzip" or "chunked, chunked" has no readable end at all. */
  #unknownCoding(bytes: Uint8Array, start: number, end: number): ScaleError {
    const codings = Buffer.from(bytes.subarray(start, end))
      .toString("latin1")
      .toLowerCase()
      .split(/[ \t]*,[ \t]*/);
    const last = codings.pop();
    const readable =
      codings.length === 0 ? /^[a-z]+$/.test(last ?? "") : last === "chunked" && !codings.includes("chunked");
    const code = readable && this.#malformedCode === "request_malformed" ? "coding_unknown" : this.#malformedCode;
    return new ScaleError(code, "Transfer-Encoding is not exactly chunked");
  }
}
