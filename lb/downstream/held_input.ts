/**
 * What a client sent before its turn came: the next pipelined request, or a body nobody waits for yet. Invariant: while something is held
 * the socket is paused, so that it is at most one read (and one that was on its way).
 */
import type { TcpSocket } from "../../src/io/connection.ts";

export class HeldInput {
  readonly #socket: TcpSocket;
  #bytes: Buffer | undefined;
  #isPaused = false;

  constructor(socket: TcpSocket) {
    this.#socket = socket;
  }

  get isEmpty(): boolean {
    return this.#bytes === undefined;
  }

  /** Keeps bytes from `at` on, after what is held already, and stops more from coming. */
  hold(bytes: Buffer, at: number): void {
    const rest = at === 0 ? bytes : bytes.subarray(at);
    this.#bytes = this.#bytes === undefined ? rest : Buffer.concat([this.#bytes, rest]);
    this.pause();
  }

  /** Hands out what is held, undefined if nothing is. */
  take(): Buffer | undefined {
    const bytes = this.#bytes;
    this.#bytes = undefined;
    return bytes;
  }

  pause(): void {
    if (this.#isPaused) return;
    this.#isPaused = true;
    this.#socket.pause();
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#socket.resume();
  }
}
