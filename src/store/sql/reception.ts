/**
 * When a standby last had everything its primary had. A receiver hears of every change at once, but from a primary without changes only
 * twice a minute, and looks the same for as long when its sender hangs. So silence is settled by asking the primary where its log ends:
 * a standby that has received that far had everything there was when that was asked. Polling the standby is replica.ts'.
 */
import type { Connection } from "./connection.ts";
import { parseLsn } from "./position.ts";
import type { Statement } from "./sql.ts";

/** What a poll of the standby says about its receiver. */
export interface Received {
  /** Milliseconds since its last message from the primary; undefined where it has none, or the user may not see it. */
  readonly messageAge: number | undefined;
  /** How far it has received. */
  readonly lsn: bigint | undefined;
}

/** Where the primary's log ended at a moment of this process' clock. */
interface Mark {
  readonly lsn: bigint;
  readonly askedAt: number;
}

// What is not flushed yet is sent to no standby.
const flushedStatement: Statement = { text: "select pg_current_wal_flush_lsn()::text as lsn", parameters: [] };

/** Asks a connection to the primary how far standbys can have received by now. */
export async function flushedLsn(connection: Connection): Promise<bigint> {
  const [row] = await connection.query<{ lsn: string }>(flushedStatement);
  const lsn = parseLsn(row!.lsn);
  if (lsn === undefined) throw new Error(`PostgreSQL said "${row!.lsn}", expected a log position such as 0/16B3748`);
  return lsn;
}

/** Asking and being polled again takes two polls and an answer: a shorter silence is still being settled. */
const settleMilliseconds = 750;

export class Reception {
  readonly #askPrimary: () => Promise<bigint>;
  /** Silence for so long makes the primary be asked. */
  readonly #silentMilliseconds: number;
  #heardAt: number;
  #mark: Mark | undefined;
  #isAsking = false;

  constructor(askPrimary: () => Promise<bigint>, silentMilliseconds: number, now: number) {
    this.#askPrimary = askPrimary;
    this.#silentMilliseconds = silentMilliseconds;
    this.#heardAt = now;
  }

  /**
   * Takes what a poll said at `now`, and returns for how many milliseconds the standby has not been known to have everything; 0 while that
   * is still being settled.
   */
  silence({ messageAge, lsn }: Received, now: number): number {
    if (messageAge !== undefined) this.#heard(now - Math.max(0, messageAge));
    const mark = this.#mark;
    if (mark !== undefined && lsn !== undefined && lsn >= mark.lsn) {
      this.#heard(mark.askedAt);
      this.#mark = undefined;
    }
    const silence = now - this.#heardAt;
    if (silence > this.#silentMilliseconds && this.#mark === undefined) this.#ask(now);
    return silence > Math.max(2 * this.#silentMilliseconds, settleMilliseconds) ? silence : 0;
  }

  #heard(at: number): void {
    this.#heardAt = Math.max(this.#heardAt, at);
  }

  /** A primary that does not answer settles nothing: the silence goes on. */
  #ask(now: number): void {
    if (this.#isAsking) return;
    this.#isAsking = true;
    this.#askPrimary()
      .then(
        (lsn) => (this.#mark = { lsn, askedAt: now }),
        () => undefined,
      )
      .finally(() => (this.#isAsking = false));
  }
}
