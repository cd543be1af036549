/**
 * Which connections have not answered for longer than any statement may take: their server, or the way to it, is gone without a word. Looked
 * at from a timer of the pool, so that a statement costs nothing for it. What giving one up means is connection.ts'.
 *
 * Time is counted in looks and not by the clock: a loop that was blocked has not read yet what has arrived meanwhile.
 */
import type { Connection } from "./connection.ts";

const lookMilliseconds = 500;
/** What the server's own statement_timeout may be late by, before nobody believes in it. */
const graceMilliseconds = 5_000;

/** How many answers a connection had given when it was last looked at, and how many looks ago that number changed. */
interface Seen {
  answers: number;
  looks: number;
}

export class SilenceWatch {
  readonly #limitMilliseconds: number;
  readonly #seen = new WeakMap<Connection, Seen>();
  readonly #timer: ReturnType<typeof setInterval>;

  /** `connections`: those to look at now. */
  constructor(statementTimeout: number, connections: () => Iterable<Connection>) {
    this.#limitMilliseconds = statementTimeout + graceMilliseconds;
    this.#timer = setInterval(() => {
      for (const connection of connections()) this.#look(connection);
    }, lookMilliseconds);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #look(connection: Connection): void {
    const { answers } = connection;
    const seen = this.#seen.get(connection);
    if (seen === undefined) this.#seen.set(connection, { answers, looks: 0 });
    else if (!connection.owesAnswer || seen.answers !== answers) Object.assign(seen, { answers, looks: 0 });
    else if (++seen.looks * lookMilliseconds >= this.#limitMilliseconds) connection.giveUp(this.#limitMilliseconds);
  }
}
