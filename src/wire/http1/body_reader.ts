/**
 * Bodies as they come off an HTTP/1.1 connection (RFC 9112 §6, §7.1): by length, chunked, or until the connection closes. Gives views of
 * the bytes it was fed, never a copy and never the framing: chunk extensions end here. Hot: no allocation a chunk.
 * Where a body ends is known to the byte: what follows is the next message's.
 */
import { type ErrorCode, ScaleError } from "../../std/errors.ts";
import type { Fields } from "../fields.ts";
import { CR, hexValue, LF, lineByte } from "../grammar.ts";
import { length } from "../message.ts";
import { type HeadLimits, incomplete } from "./head_parser.ts";
import { TrailerParser } from "./trailer_parser.ts";

/** Takes the body's bytes [start, end). */
export interface BodySink {
  body(bytes: Buffer, start: number, end: number): void;
}

/** 13 hexadecimal digits stay below 2^53. */
const sizeDigitsMax = 13;
/** Extensions mean nothing to us and are a way to send bytes that count as nothing. */
const extensionBytesMax = 256;

/*
 *  done ◀── counted              until_close
 *  size ─▶ extension ─▶ size_lf ─▶ data ─▶ data_cr ─▶ data_lf ─▶ size …
 *                          └── size 0 ─▶ trailers ─▶ done
 */
type State =
  "done" | "counted" | "until_close" | "size" | "extension" | "size_lf" | "data" | "data_cr" | "data_lf" | "trailers";

export class BodyReader {
  readonly #malformedCode: ErrorCode;
  readonly #limits: HeadLimits;
  #state: State = "done";
  /** Bytes still to come of the body or of the chunk. */
  #remaining = 0;
  #sizeDigits = 0;
  #extensionBytes = 0;
  #trailers: TrailerParser | undefined;
  #hasTrailers = false;

  constructor(malformedCode: ErrorCode, limits: HeadLimits) {
    this.#malformedCode = malformedCode;
    this.#limits = limits;
  }

  get isDone(): boolean {
    return this.#state === "done";
  }

  /** Whether the peer's end of the connection is a proper end of this body. */
  get endsWithConnection(): boolean {
    return this.#state === "until_close";
  }

  /** Fields that came after the body, once it is done; undefined if there were none. Valid until `release` or `begin`. */
  get trailers(): Fields | undefined {
    return this.#hasTrailers && this.#trailers!.fields.count > 0 ? this.#trailers!.fields : undefined;
  }

  /** Lets go of the trailers: a reader that waits for its next use must not keep a connection's chunk alive. */
  release(): void {
    if (this.#hasTrailers) this.#trailers!.reset();
    this.#hasTrailers = false;
  }

  /** `bytes` as a message declares it; with `length.unknown`, chunked or else until the connection closes. */
  begin(bytes: number, isChunked: boolean): void {
    this.release();
    if (isChunked) this.#beginSize();
    else if (bytes === length.unknown) this.#state = "until_close";
    else {
      this.#remaining = Math.max(bytes, 0);
      this.#state = this.#remaining === 0 ? "done" : "counted";
    }
  }

  /** Takes bytes[at, end), hands the body's part to `sink`, and returns the index after the last byte that belongs to the body. */
  feed(bytes: Buffer, at: number, end: number, sink: BodySink): number {
    if (this.#state === "counted") return this.#counted(bytes, at, end, sink);
    if (this.#state === "done") return at;
    if (this.#state === "until_close") {
      sink.body(bytes, at, end);
      return end;
    }
    return this.#chunked(bytes, at, end, sink);
  }

  #counted(bytes: Buffer, at: number, end: number, sink: BodySink): number {
    const taken = Math.min(end - at, this.#remaining);
    this.#remaining -= taken;
    // Before the sink: what it does may look at isDone.
    if (this.#remaining === 0) this.#state = "done";
    sink.body(bytes, at, at + taken);
    return at + taken;
  }

  #chunked(bytes: Buffer, from: number, end: number, sink: BodySink): number {
    let at = from;
    while (at < end) {
      switch (this.#state) {
        case "size":
          at = this.#size(bytes, at, end);
          break;
        case "extension":
          at = this.#extension(bytes, at, end);
          break;
        case "size_lf":
          this.#expect(bytes[at++]!, LF, "a chunk's size line does not end in CRLF");
          this.#state = this.#remaining === 0 ? this.#beginTrailers() : "data";
          break;
        case "data": {
          const taken = Math.min(end - at, this.#remaining);
          this.#remaining -= taken;
          if (this.#remaining === 0) this.#state = "data_cr";
          sink.body(bytes, at, at + taken);
          at += taken;
          break;
        }
        case "data_cr":
          this.#expect(bytes[at++]!, CR, "a chunk does not end in CRLF");
          this.#state = "data_lf";
          break;
        case "data_lf":
          this.#expect(bytes[at++]!, LF, "a chunk does not end in CRLF");
          this.#beginSize();
          break;
        case "trailers": {
          const after = this.#trailers!.feed(bytes, at, end);
          if (after === incomplete) return end;
          this.#state = "done";
          return after;
        }
        default:
          throw new ScaleError("illegal_transition", `body reader: ${this.#state} is not a state of a chunked body`);
      }
    }
    return at;
  }

  #beginSize(): void {
    this.#state = "size";
    this.#remaining = 0;
    this.#sizeDigits = 0;
    this.#extensionBytes = 0;
  }

  /** chunk-size = 1*HEXDIG: no sign, no prefix, no white space before or after. */
  #size(bytes: Buffer, from: number, end: number): number {
    let at = from;
    while (at < end) {
      const digit = hexValue[bytes[at]!]!;
      if (digit === 255) break;
      if (++this.#sizeDigits > sizeDigitsMax) throw this.#malformed("a chunk's size is too large");
      this.#remaining = this.#remaining * 16 + digit;
      at++;
    }
    if (at === end) return at;
    const byte = bytes[at]!;
    if (this.#sizeDigits === 0 || (byte !== CR && byte !== 0x3b))
      throw this.#malformed("a chunk's size is not a number");
    this.#state = byte === CR ? "size_lf" : "extension";
    return at + 1;
  }

  #extension(bytes: Buffer, from: number, end: number): number {
    let at = from;
    while (at < end && lineByte[bytes[at]!] === 1) at++;
    this.#extensionBytes += at - from;
    if (this.#extensionBytes > extensionBytesMax) throw this.#malformed("a chunk's extensions are too long");
    if (at === end) return at;
    this.#expect(bytes[at]!, CR, "a chunk's extension holds a control byte");
    this.#state = "size_lf";
    return at + 1;
  }

  #beginTrailers(): "trailers" {
    this.#trailers ??= new TrailerParser(this.#limits, this.#malformedCode);
    this.#hasTrailers = true;
    return "trailers";
  }

  #expect(byte: number, wanted: number, message: string): void {
    if (byte !== wanted) throw this.#malformed(message);
  }

  #malformed(message: string): ScaleError {
    return new ScaleError(this.#malformedCode, message);
  }
}
