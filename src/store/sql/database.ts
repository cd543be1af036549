/**
 * One database as the application sees it: a primary, and replicas that serve reads. Writes and transactions run on the primary;
 * a read runs on a replica that shows everything its reader must see, else on the primary. Invariant: where a statement runs never
 * changes what a reader sees, only how fresh it is beyond what they must see.
 */
import { log } from "../../ops/log.ts";
import { isBouncer } from "../../std/bouncer_url.ts";
import { handled } from "../../std/handled.ts";
import { rendezvous } from "../../std/rendezvous.ts";
import { refuseSession, warnUnlimited } from "./bouncer.ts";
import { type Connection, placeOf } from "./connection.ts";
import { isConflictWithRecovery, isLost, withoutEffect } from "./errors.ts";
import { listen } from "./listen.ts";
import { Pool, type PoolCounts } from "./pool.ts";
import { hasPassed, type Position } from "./position.ts";
import { PrimaryPosition } from "./primary_position.ts";
import type { Reader } from "./reader.ts";
import { flushedLsn } from "./reception.ts";
import { Replica } from "./replica.ts";
import type { Owner, Row, ServerState, Sql, SqlOptions, SqlSession, Statement, TransactionOptions } from "./sql.ts";
import { Timings } from "./timings.ts";
import { transaction } from "./transaction.ts";

const lagMaxDefault = 10_000;

const standbyStatement: Statement = { text: "select pg_is_in_recovery() as standby", parameters: [] };

type Run<T> = (connection: Connection) => Promise<T>;

export class Database implements Sql {
  readonly sharedSecret: string;
  readonly #options: SqlOptions;
  readonly #place: string;
  /** Through a PgBouncer: then there are no sessions. */
  readonly #isPooled: boolean;
  /** Whether it has been seen if PgBouncer's servers bound a statement. */
  #isLimitKnown = false;
  /** As the last ping has found the primary. */
  #isStandby = false;
  /** Of the primary. */
  readonly #timings = new Timings();
  readonly #primary: Pool;
  /** Reads that no replica may serve, apart from the writes: however many they are, a write finds a connection. */
  readonly #diverted: Pool;
  readonly #positions: PrimaryPosition;
  readonly #replicas: readonly Replica[];

  constructor(url: string, options: SqlOptions) {
    const { replicaUrls = [], lagMax = lagMaxDefault, poolMax } = options;
    this.#options = options;
    this.sharedSecret = secretOf(url);
    this.#place = placeOf(url);
    this.#isPooled = isBouncer(url);
    this.#primary = new Pool(url, options, this.#timings);
    this.#diverted = new Pool(url, { ...options, poolMax: Math.ceil(poolMax / 2) }, this.#timings);
    this.#positions = new PrimaryPosition(this.#primary);
    const askPrimary = () => this.#diverted.shared(flushedLsn);
    this.#replicas = replicaUrls.map((replica) => new Replica(replica, options, lagMax, askPrimary));
  }

  get hasReplicas(): boolean {
    return this.#replicas.length > 0;
  }

  get servers(): readonly ServerState[] {
    const [own, diverted] = [this.#primary.counts, this.#diverted.counts];
    const sum = (key: keyof PoolCounts) => own[key] + diverted[key];
    const primary = {
      name: this.#place,
      connections: sum("connections"),
      running: sum("running"),
      waiting: sum("waiting"),
      begun: sum("begun"),
      timings: this.#timings,
    };
    const replicas = this.#replicas.map(({ name, pool, timings, isIn, lagMilliseconds }) => ({
      name,
      ...pool.counts,
      timings,
      replica: { isIn, lagMilliseconds },
    }));
    return [primary, ...replicas];
  }

  query<R extends object = Row>(statement: Statement, reader?: Reader, owner?: Owner): Promise<R[]> {
    return handled(this.#write((connection) => connection.query<R>(statement, owner), reader, owner));
  }

  json(statement: Statement, reader?: Reader, owner?: Owner): Promise<Uint8Array<ArrayBuffer>> {
    return handled(this.#write((connection) => connection.json(statement, owner), reader, owner));
  }

  read<R extends object = Row>(statement: Statement, reader?: Reader, owner?: Owner): Promise<R[]> {
    return handled(this.#read((connection) => connection.query<R>(statement, owner), reader, owner));
  }

  readJson(statement: Statement, reader?: Reader, owner?: Owner): Promise<Uint8Array<ArrayBuffer>> {
    return handled(this.#read((connection) => connection.json(statement, owner), reader, owner));
  }

  tx<T>(
    body: (tx: SqlSession) => Promise<T>,
    options?: TransactionOptions,
    reader?: Reader,
    owner?: Owner,
  ): Promise<T> {
    return handled(this.#tracked(reader, (sent) => transaction(this.#primary, body, options, sent, owner)));
  }

  async session<T>(body: (session: SqlSession) => Promise<T>): Promise<T> {
    if (this.#isPooled) refuseSession(this.#place);
    return handled(this.#primary.session(body));
  }

  async listen(channel: string, heard: (payload: string | undefined) => void, signal: AbortSignal): Promise<void> {
    if (this.#isPooled) refuseSession(this.#place);
    return handled(listen(this.#primary.url, this.#options, channel, heard, signal));
  }

  position(): Promise<Position> {
    return handled(this.#positions.now());
  }

  ping(): Promise<void> {
    const answered = this.#primary.shared((connection) => this.#ping(connection));
    return handled(answered.catch((error: unknown) => Promise.reject(withoutEffect(error))));
  }

  async #ping(connection: Connection): Promise<void> {
    const [row] = await connection.query<{ standby: boolean }>(standbyStatement);
    this.#note(row!.standby);
    if (!connection.isPooled || this.#isLimitKnown) return;
    await warnUnlimited(connection, this.#options.statementTimeout);
    this.#isLimitKnown = true;
  }

  /** It answers, and reads are right; each write will be an error. */
  #note(isStandby: boolean): void {
    if (isStandby === this.#isStandby) return;
    this.#isStandby = isStandby;
    const server = { server: this.#place };
    if (!isStandby) return log.info(server, `PostgreSQL at ${this.#place} takes writes again`);
    log.warn(
      server,
      `PostgreSQL at ${this.#place} is a standby, and refuses writes. ` +
        "Fix: --database-url names the primary, or all servers (A:5432,B:5432) of which one is; or promote it",
    );
  }

  close(): Promise<void> {
    const replicas = this.#replicas.map((replica) => replica.close());
    return handled(Promise.all([this.#primary.close(), this.#diverted.close(), ...replicas]).then(() => undefined));
  }

  #write<T>(run: Run<T>, reader: Reader | undefined, owner: Owner | undefined): Promise<T> {
    return this.#tracked(reader, (sent) =>
      this.#primary.shared(
        (connection) => {
          const result = run(connection);
          sent(connection, owner);
          return result;
        },
        "write",
        owner,
      ),
    );
  }

  /** Runs what writes; `sent` is to be called when the last of it is on its way. A write that failed may have happened all the same. */
  async #tracked<T>(
    reader: Reader | undefined,
    write: (sent: (connection: Connection, owner?: Owner) => void) => Promise<T>,
  ): Promise<T> {
    if (reader === undefined || !this.hasReplicas) return write(() => undefined);
    let behind: Promise<Position> | undefined;
    try {
      return await write((connection, owner) => {
        behind = this.#positions.behind(connection, owner);
      });
    } finally {
      reader.mustSee(behind ?? this.#positions.now());
    }
  }

  /**
   * A read whose server goes away under it is tried once more: on another server, or on the one that took its place. One that a replica
   * cancelled, because what it replays removes what the read still needs, goes to the primary, where nothing is replayed.
   */
  async #read<T>(run: Run<T>, reader: Reader | undefined, owner: Owner | undefined): Promise<T> {
    const replica = this.hasReplicas ? await this.#choose(reader, undefined) : undefined;
    try {
      return await this.#readFrom(replica, run, reader, owner);
    } catch (error) {
      if (replica !== undefined && isConflictWithRecovery(error)) return this.#divert(run, reader, owner);
      if (!isLost(error)) throw error;
      const other = this.hasReplicas ? await this.#choose(reader, replica) : undefined;
      return this.#readFrom(other, run, reader, owner).catch((again: unknown) => Promise.reject(withoutEffect(again)));
    }
  }

  #readFrom<T>(
    replica: Replica | undefined,
    run: Run<T>,
    reader: Reader | undefined,
    owner: Owner | undefined,
  ): Promise<T> {
    if (replica !== undefined) return replica.pool.shared(run, "read", owner);
    return this.hasReplicas ? this.#divert(run, reader, owner) : this.#primary.shared(run, "read", owner);
  }

  /** The replica that may serve this reader now, other than `failed`; undefined if none may. */
  async #choose(reader: Reader | undefined, failed: Replica | undefined): Promise<Replica | undefined> {
    await reader?.settled();
    const candidates = this.#replicas.filter((replica) => replica.isIn && replica !== failed);
    if (reader?.key === undefined) {
      const floor = reader?.floor;
      return leastBusyOfTwo(floor === undefined ? candidates : candidates.filter((each) => shows(each, floor)));
    }
    const chosen = rendezvous(reader.key, candidates);
    if (chosen === undefined) return undefined;
    // What the one before has shown, this one may not have yet: it has once it has passed where the primary is now.
    if (reader.pin !== undefined && reader.pin !== chosen.id) reader.mustSee(this.#positions.now());
    reader.pinTo(chosen.id);
    await reader.settled();
    return reader.floor === undefined || shows(chosen, reader.floor) ? chosen : undefined;
  }

  /** On the primary. It may have shown more than the floor, so that a pinned reader's floor rises with it. */
  async #divert<T>(run: Run<T>, reader: Reader | undefined, owner: Owner | undefined): Promise<T> {
    const result = await this.#diverted.shared(run, "read", owner);
    if (reader?.key !== undefined) reader.mustSee(this.#positions.now());
    return result;
  }
}

function shows({ position }: Replica, floor: Position): boolean {
  return position !== undefined && hasPassed(position, floor);
}

/** Power of two choices: two at random, the one with fewer statements. Source: Mitzenmacher, 1996. */
function leastBusyOfTwo(candidates: readonly Replica[]): Replica | undefined {
  if (candidates.length < 2) return candidates[0];
  const first = Math.floor(Math.random() * candidates.length);
  const second = (first + 1 + Math.floor(Math.random() * (candidates.length - 1))) % candidates.length;
  const [one, other] = [candidates[first]!, candidates[second]!];
  return load(other) < load(one) ? other : one;
}

function load({ pool }: Replica): number {
  const { running, waiting } = pool.counts;
  return running + waiting;
}

/** Made of what only those know who may use the database. */
function secretOf(url: string): string {
  const [, password = "", name = ""] = /^[a-z]+:\/\/(?:[^:/?#]*:?([^/?#]*)@)?[^/?#]*([^?#]*)/.exec(url) ?? [];
  return new Bun.CryptoHasher("sha256").update(`scale\n${password}\n${name}`).digest("base64url");
}
