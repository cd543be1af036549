/**
 * The one session of the embedded database, lent to one connection at a time: from its first message until PostgreSQL is idle again,
 * outside of any transaction. Each connection keeps its own settings and its own names of prepared statements, so that it can take
 * the session for its own. Who waits is served in order of arrival.
 *
 *     free ── request ──▶ lent ── answered, idle, no advisory lock ──▶ free, or lent to the next
 *                          └──── connection gone ─── ROLLBACK ───────▶
 *
 * As in a pool with transaction pooling, temporary tables and SQL's own PREPARE are seen by everyone, and LISTEN is refused.
 */
import { ScaleError } from "../../std/errors.ts";
import type { EmbeddedDatabase } from "./database.ts";
import { finalStatus, query, readAnswer, sync } from "./messages.ts";
import { literal, runnableBytes, StatementNames } from "./statements.ts";

/** A connection as the session sees it. */
export interface Borrower {
  /** Whole messages that wait to be run; what is taken is gone. Empty: nothing can be run yet. */
  take(runnable: (bytes: Buffer) => number): Buffer;
  answer(bytes: Buffer): void;
  /** It cannot go on: it is told why, with an SQLSTATE, and closed. */
  close(code: string, text: string, hint?: string): void;
}

/** What the session remembers of a connection. */
export class Account {
  readonly borrower: Borrower;
  readonly statements: StatementNames;
  /** Settings asked for when connecting; what SET changed since comes on top. */
  readonly #initial: ReadonlyMap<string, string>;
  settings: ReadonlyMap<string, string>;
  /** Since when it has been waiting, in milliseconds of performance.now(). */
  waitingSince = 0;
  /** The last message left PostgreSQL waiting for more of the same batch. */
  midBatch = false;
  mayHoldLocks = false;
  /** It has run something that may have changed settings. */
  touched = false;

  constructor(id: number, borrower: Borrower, settings: ReadonlyMap<string, string>) {
    this.borrower = borrower;
    this.statements = new StatementNames(id);
    this.#initial = settings;
    this.settings = settings;
  }

  changeSettings(changes: Iterable<readonly [string, string]>): void {
    this.settings = new Map([...this.#initial, ...changes]);
  }
}

const none: ReadonlyMap<string, string> = new Map();

export class SharedSession {
  readonly #database: EmbeddedDatabase;
  readonly #onDead: (error: ScaleError) => void;
  readonly #waiting: Account[] = [];
  #owner: Account | undefined;
  #status = "I";
  #settings: ReadonlyMap<string, string> = none;
  #garbage: Buffer[] = [];

  /** `onDead`: PostgreSQL itself has failed; nothing will work until the process starts again. */
  constructor(database: EmbeddedDatabase, onDead: (error: ScaleError) => void) {
    this.#database = database;
    this.#onDead = onDead;
  }

  open(id: number, borrower: Borrower, settings: ReadonlyMap<string, string>): Account {
    return new Account(id, borrower, settings);
  }

  /** The connection has something to run: at once if the session is free or its own, else in its turn. */
  request(account: Account): void {
    if (this.#owner === account) this.#serve(account);
    else if (account.waitingSince === 0) {
      account.waitingSince = performance.now();
      this.#waiting.push(account);
    }
    this.#serveWaiting();
  }

  /** Connections that have waited longer than the limit. */
  waitedLonger(milliseconds: number): Account[] {
    const limit = performance.now() - milliseconds;
    return this.#waiting.filter((account) => account.waitingSince < limit);
  }

  /** The connection is gone: what it left undone is rolled back, its statements are closed. */
  close(account: Account): void {
    const place = this.#waiting.indexOf(account);
    if (place !== -1) this.#waiting.splice(place, 1);
    this.#garbage.push(account.statements.closeAll());
    if (this.#owner !== account) return;
    if (account.midBatch) this.#run(sync);
    if (this.#status !== "I") this.#run(query("rollback"));
    if (account.mayHoldLocks) this.#run(query("select pg_advisory_unlock_all()"));
    if (account.touched) {
      this.#run(query("reset all"));
      this.#settings = none;
    }
    this.#owner = undefined;
    this.#serveWaiting();
  }

  /** True while a connection is in a transaction or holds a lock. */
  get lent(): boolean {
    return this.#owner !== undefined;
  }

  #serveWaiting(): void {
    while (this.#owner === undefined) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      next.waitingSince = 0;
      this.#collectGarbage();
      if (this.#applySettings(next)) this.#serve(next);
    }
  }

  #serve(account: Account): void {
    this.#owner = account;
    const bytes = account.borrower.take(runnableBytes);
    if (bytes.length > 0) this.#runFor(account, bytes);
    // Nothing to run and nothing begun is a connection that waited with half a message.
    if (!account.midBatch && this.#status === "I" && !this.#holdsLock(account)) this.#owner = undefined;
  }

  #runFor(account: Account, bytes: Buffer): void {
    const batch = account.statements.translate(bytes);
    if (batch.forgets && !account.midBatch) this.#run(Buffer.concat([account.statements.closeAll(), sync]));
    account.midBatch = !batch.complete;
    const answer = batch.complete ? this.#run(batch.bytes) : this.#database.run(batch.bytes);
    account.borrower.answer(answer);
    account.touched ||= batch.touchesSession;
    account.mayHoldLocks ||= batch.touchesSession;
    if (account.touched && batch.complete && this.#status === "I") this.#rememberSettings(account);
  }

  #run(bytes: Buffer): Buffer {
    const answer = this.#database.run(bytes);
    const status = finalStatus(answer);
    if (status === undefined) this.#onDead(new ScaleError("internal", "the embedded PostgreSQL has stopped answering"));
    this.#status = status ?? "I";
    return answer;
  }

  /** A session-level advisory lock belongs to a connection, and there is one session: whoever holds one keeps the session. */
  #holdsLock(account: Account): boolean {
    if (!account.mayHoldLocks) return false;
    const { rows } = readAnswer(this.#run(query("select 1 from pg_locks where locktype = 'advisory'")));
    account.mayHoldLocks = rows.length > 0;
    return account.mayHoldLocks;
  }

  #rememberSettings(account: Account): void {
    const { rows } = readAnswer(this.#run(query("select name, setting from pg_settings where source = 'session'")));
    account.changeSettings(rows.map(([name, value]) => [name!, value!] as const));
    this.#settings = account.settings;
    account.touched = false;
  }

  /** Connections of one program ask for the same settings, so this is hardly ever a statement. */
  #applySettings(account: Account): boolean {
    if (same(this.#settings, account.settings)) return true;
    const calls = [...account.settings].map(
      ([name, value]) => `set_config(${literal(name)}, ${literal(value)}, false)`,
    );
    const { error } = readAnswer(this.#run(query(`reset all; select ${["1", ...calls].join(", ")}`)));
    this.#settings = error === undefined ? account.settings : none;
    if (error === undefined) return true;
    this.#run(query("reset all"));
    account.borrower.close("22023", error);
    return false;
  }

  #collectGarbage(): void {
    const closes = this.#garbage.filter((bytes) => bytes.length > 0);
    this.#garbage = [];
    if (closes.length > 0) this.#run(Buffer.concat([...closes, sync]));
  }
}

function same(a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): boolean {
  if (a === b) return true;
  if (a.size !== b.size) return false;
  for (const [name, value] of a) if (b.get(name) !== value) return false;
  return true;
}
