/**
 * The part of a request's body that was read, kept so that it can be sent to another target. Nothing is copied: a read's buffer is
 * nobody else's. Invariant: holds all that was read, or, beyond `bytesMax`, nothing and says so.
 */
import type { BodySink } from "./stream.ts";

interface Piece {
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
}

export class Replay {
  readonly #bytesMax: number;
  #pieces: Piece[] = [];
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Whether everything that was read is there. */
  get isWhole(): boolean {
    return this.#bytes <= this.#bytesMax;
  }

  keep(bytes: Buffer, start: number, end: number): void {
    this.#bytes += end - start;
    if (this.isWhole) this.#pieces.push({ bytes, start, end });
    else this.#pieces = [];
  }

  /** Sends all of it. No back-pressure: it is no more than a sink takes. */
  writeTo(sink: BodySink): void {
    for (const { bytes, start, end } of this.#pieces) sink.writeBody(bytes, start, end);
  }
}
