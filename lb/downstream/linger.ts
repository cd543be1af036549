/**
 * Closing after a response so that the client gets to read it (RFC 9112 §9.6): our side ends first, and what the client still sends is
 * read and dropped, because closing on unread bytes resets the connection and the answer with it.
 */
import type { TcpSocket } from "../../src/io/connection.ts";

/** How much of a refused or unread request is dropped, and how long the client may take to end its side. */
const droppedBytesMax = 1024 * 1024;
const lingerMilliseconds = 2_000;

export class Linger {
  readonly #socket: TcpSocket;
  readonly #mayComeMore: boolean;
  #droppedBytes = 0;

  /** `mayComeMore`: the client has not said that this request was its last, or has not sent all of it. */
  constructor(socket: TcpSocket, mayComeMore: boolean) {
    this.#socket = socket;
    this.#mayComeMore = mayComeMore;
  }

  /** Everything is with the kernel: ends our side. Returns how many milliseconds to wait for the client's; 0 to close now. */
  advance(): number {
    if (!this.#mayComeMore) return 0;
    this.#socket.shutdown();
    return lingerMilliseconds;
  }

  /** Drops what came. False: that was too much. */
  drop(bytes: number): boolean {
    this.#droppedBytes += bytes;
    return this.#droppedBytes <= droppedBytesMax;
  }
}
