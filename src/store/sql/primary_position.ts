/**
 * Where the primary's log ends, asked so that the answer covers a given write. Inside the statement that writes, the position precedes
 * the commit record; so it is asked afterwards, on the same connection right behind the write when nothing else is asking, and
 * under load by one statement for all writes that were committed before it was sent.
 */
import type { Connection } from "./connection.ts";
import type { Pool } from "./pool.ts";
import { parseLsn, type Position } from "./position.ts";
import type { Owner, Statement } from "./sql.ts";

// The insert position covers a commit that is not flushed yet (synchronous_commit = off). The timeline is the first part of a segment's name.
const statement: Statement = {
  text: "select lsn::text as lsn, left(pg_walfile_name(lsn), 8) as timeline from pg_current_wal_insert_lsn() as lsn",
  parameters: [],
};

interface Row {
  readonly lsn: string;
  readonly timeline: string;
}

export class PrimaryPosition {
  readonly #pool: Pool;
  /** Sent, not yet answered. */
  #asking: Promise<Position> | undefined;
  /** Sent once `asking` is answered; whoever wants to know meanwhile shares it. */
  #next: Promise<Position> | undefined;

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  /**
   * Sent behind a write on its own connection; undefined while another is on its way, then `now` after the write is cheaper, and through a
   * PgBouncer, which takes one statement at a time. `owner` is the write's: this must not keep it from being cancelled.
   */
  behind(connection: Connection, owner?: Owner): Promise<Position> | undefined {
    if (connection.isPooled) return undefined;
    return this.#asking === undefined ? this.#ask(ask(connection, owner)) : undefined;
  }

  /** A position that covers everything committed before this call. */
  now(): Promise<Position> {
    if (this.#asking === undefined) return this.#ask(this.#pool.shared((connection) => ask(connection)));
    this.#next ??= this.#asking
      .catch(() => undefined)
      .then(() => {
        this.#next = undefined;
        return this.now();
      });
    return this.#next;
  }

  #ask(asking: Promise<Position>): Promise<Position> {
    this.#asking = asking;
    const forget = () => {
      if (this.#asking === asking) this.#asking = undefined;
    };
    asking.then(forget, forget);
    return asking;
  }
}

async function ask(connection: Connection, owner?: Owner): Promise<Position> {
  const [row] = await connection.query<Row>(statement, owner);
  const lsn = parseLsn(row!.lsn);
  if (lsn === undefined) throw new Error(`PostgreSQL said "${row!.lsn}", expected a log position such as 0/16B3748`);
  return { timeline: Number.parseInt(row!.timeline, 16), lsn };
}
