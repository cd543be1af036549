/**
 * The part that request heads, response heads and trailer sections share: lines that end in CRLF, fields, an empty line
 * (RFC 9112 §2.1, §5). Lines are examined as they complete, so a bad one is an error before the rest has arrived.
 * Invariant: each byte is looked at a bounded number of times, however the network splits the head; a head that comes in one piece
 * is parsed where it lies, without a copy. What a start line or a field means is the subclasses'.
 */
import { type ErrorCode, ScaleError } from "../../std/errors.ts";
import { fieldId, Fields, known } from "../fields.ts";
import { COLON, CR, HTAB, LF, lineByte, SP, tokenByte } from "../grammar.ts";

/** Limits of one head. */
export interface HeadLimits {
  readonly headBytesMax: number;
  readonly headFieldsMax: number;
  /** Request-target; a start line may be a little longer. */
  readonly targetBytesMax: number;
}

/** Result of `feed` while the head is not complete. */
export const incomplete = -1;

/** Room for the first piece of a head that comes in several; doubled as needed. */
const keptBytesFirst = 1024;

const noBytes = Buffer.alloc(0);

export abstract class HeadParser {
  readonly fields: Fields;
  protected readonly limits: HeadLimits;
  /** What a violation is called: whose fault it is depends on who is talking. */
  protected readonly malformedCode: ErrorCode;
  /** Whether a start line is still to come. */
  protected startLinePending = false;

  /** The head so far, when it did not come in one piece. */
  #kept: Buffer = noBytes;
  #keptLength = 0;
  /** Start of the line being read and the first byte of it not yet examined. */
  #lineStart = 0;
  #examined = 0;

  constructor(limits: HeadLimits, malformedCode: ErrorCode) {
    this.limits = limits;
    this.malformedCode = malformedCode;
    this.fields = new Fields(limits.headFieldsMax);
  }

  /**
   * Takes bytes[at, end). Returns the index after the head's last byte, or `incomplete`: then everything was taken.
   * Throws ScaleError for whatever RFC 9112 does not allow; the connection is of no further use then.
   */
  feed(bytes: Buffer, at: number, end: number): number {
    if (this.#keptLength > 0) return this.#feedKept(bytes, at, end);
    this.#lineStart = this.#examined = at;
    const limit = Math.min(end, at + this.limits.headBytesMax);
    const after = this.#scan(bytes, limit);
    if (after !== incomplete) return after;
    if (limit < end) throw this.tooLarge();
    this.#keep(bytes, at, end);
    if (at > 0) this.#shift(at);
    return incomplete;
  }

  /** Makes ready for the next head. */
  protected clear(): void {
    this.fields.clear();
    this.#kept = noBytes;
    this.#keptLength = 0;
  }

  protected abstract startLine(bytes: Buffer, start: number, end: number): void;
  /** A field whose name is in fields.ts' table. */
  protected abstract knownField(id: number, bytes: Buffer, start: number, end: number): void;
  /** The empty line has come: what concerns the head as a whole. */
  protected abstract complete(): void;

  protected malformed(message: string): ScaleError {
    return new ScaleError(this.malformedCode, message);
  }

  protected tooLarge(): ScaleError {
    const code = this.malformedCode === "request_malformed" ? "head_too_large" : this.malformedCode;
    return new ScaleError(code, `the head is larger than ${this.limits.headBytesMax} bytes`);
  }

  #feedKept(bytes: Buffer, at: number, end: number): number {
    const before = this.#keptLength;
    const taken = Math.min(end - at, this.limits.headBytesMax - before);
    this.#keep(bytes, at, at + taken);
    const after = this.#scan(this.#kept, this.#keptLength);
    if (after !== incomplete) return at + after - before;
    if (this.#keptLength >= this.limits.headBytesMax) throw this.tooLarge();
    return incomplete;
  }

  #keep(bytes: Buffer, at: number, end: number): void {
    const needed = this.#keptLength + end - at;
    if (needed > this.#kept.length) {
      const grown = Buffer.allocUnsafeSlow(
        Math.max(needed, Math.min(this.limits.headBytesMax, Math.max(keptBytesFirst, this.#kept.length * 2))),
      );
      this.#kept.copy(grown, 0, 0, this.#keptLength);
      this.#kept = grown;
    }
    bytes.copy(this.#kept, this.#keptLength, at, end);
    this.#keptLength = needed;
  }

  #shift(offset: number): void {
    this.#lineStart -= offset;
    this.#examined -= offset;
    this.fields.shift(offset);
  }

  /** Examines lines until the empty one; hot. */
  #scan(bytes: Buffer, limit: number): number {
    let at = this.#examined;
    for (;;) {
      at = afterLineBytes(bytes, at, limit);
      if (at + 1 >= limit) {
        // A CR at the very end is examined again together with what follows it; any other control byte is an error already.
        if (at < limit && bytes[at] !== CR) throw this.#badByte(bytes[at]!);
        this.#examined = at;
        return incomplete;
      }
      if (bytes[at] !== CR || bytes[at + 1] !== LF) throw this.#badByte(bytes[at]!);
      const start = this.#lineStart;
      this.#lineStart = at + 2;
      if (this.startLinePending) this.startLine(bytes, start, at);
      else if (at === start) {
        this.fields.bytes = bytes;
        this.complete();
        return at + 2;
      } else this.#fieldLine(bytes, start, at);
      at += 2;
    }
  }

  /** field-line = field-name ":" OWS field-value OWS (RFC 9112 §5). bytes[end] is CR, which ends every loop here. */
  #fieldLine(bytes: Buffer, start: number, end: number): void {
    let colon = start;
    while (tokenByte[bytes[colon]!] === 1) colon++;
    if (bytes[colon] !== COLON || colon === start) throw this.#badName(bytes, start, colon);
    let valueStart = colon + 1;
    while (bytes[valueStart] === SP || bytes[valueStart] === HTAB) valueStart++;
    let valueEnd = end;
    while (valueEnd > valueStart && (bytes[valueEnd - 1] === SP || bytes[valueEnd - 1] === HTAB)) valueEnd--;
    if (this.fields.isFull) throw this.#tooMany();
    const id = fieldId(bytes, start, colon);
    this.fields.add(id, start, colon, valueStart, valueEnd);
    if (id !== known.other) this.knownField(id, bytes, valueStart, valueEnd);
  }

  #badByte(byte: number): ScaleError {
    if (byte === LF) return this.malformed("a line ends in LF without CR");
    if (byte === CR) return this.malformed("a CR is not followed by LF");
    return this.malformed(`the head holds a control byte (0x${byte.toString(16).padStart(2, "0")})`);
  }

  #badName(bytes: Buffer, start: number, colon: number): ScaleError {
    if (bytes[start] === SP || bytes[start] === HTAB)
      return this.malformed("a line of the head begins with white space");
    if (bytes[colon] === SP || bytes[colon] === HTAB)
      return this.malformed("white space stands before a field's colon");
    return this.malformed("a field's name is empty or not a token");
  }

  #tooMany(): ScaleError {
    const code = this.malformedCode === "request_malformed" ? "head_too_large" : this.malformedCode;
    return new ScaleError(code, `the head has more than ${this.limits.headFieldsMax} fields`);
  }
}

/** The first index from `at` that is no line byte. Four at a time: this loop is most of what a head costs. */
function afterLineBytes(bytes: Uint8Array, from: number, limit: number): number {
  let at = from;
  const quads = limit - 3;
  while (
    at < quads &&
    (lineByte[bytes[at]!]! & lineByte[bytes[at + 1]!]! & lineByte[bytes[at + 2]!]! & lineByte[bytes[at + 3]!]!) === 1
  ) {
    at += 4;
  }
  while (at < limit && lineByte[bytes[at]!] === 1) at++;
  return at;
}
