/**
 * A body onto an HTTP/1.1 connection, framed as its head said (RFC 9112 §6, §7.1): the counterpart of wire/http1/body_reader.ts, for
 * both sides. Small chunks leave with their framing, and with the head before them, as one write. Hot path.
 */
import type { WriteQueue } from "../src/io/write_queue.ts";
import type { Fields } from "../src/wire/fields.ts";
import {
  type BodyFraming,
  chunkEnd,
  chunkOverheadBytesMax,
  lastChunk,
  trailerRoom,
  writeChunkSize,
  writeTrailers,
} from "../src/wire/http1/serialise.ts";

export class BodyWriter {
  framing: BodyFraming = "none";
  readonly #queue: WriteQueue;

  constructor(queue: WriteQueue) {
    this.#queue = queue;
  }

  /** False as WriteQueue.write. */
  write(bytes: Buffer, start: number, end: number): boolean {
    if (this.framing !== "chunked") return this.#queue.write(bytes, start, end);
    // A chunk of no bytes would be the last.
    if (start === end) return true;
    const at = this.#queue.reserve(chunkOverheadBytesMax);
    this.#queue.commit(writeChunkSize(this.#queue.staged(), at, end - start));
    this.#queue.write(bytes, start, end);
    return this.#queue.write(chunkEnd, 0, chunkEnd.length);
  }

  /** Only chunks leave room for trailers: elsewhere they end here. */
  end(trailers: Fields | undefined): void {
    if (this.framing !== "chunked") return;
    if (trailers === undefined) return void this.#queue.write(lastChunk, 0, lastChunk.length);
    const at = this.#queue.reserve(trailerRoom(trailers));
    this.#queue.commit(writeTrailers(this.#queue.staged(), at, trailers));
  }
}
