/**
 * One replica: its connections, and a watcher that asks it each quarter of a second how far it has come. What the answers mean is
 * replica_state.ts', who reads from it database.ts'. Invariant: the watcher has a connection of its own, so that a replica that is only
 * busy is not mistaken for one that is gone.
 */
import { log } from "../../ops/log.ts";
import { messageOf } from "../../std/errors.ts";
import { hash32 } from "../../std/hash.ts";
import { Connection, placeOf } from "./connection.ts";
import { Pool } from "./pool.ts";
import { parseLsn, type Position } from "./position.ts";
import { Reception } from "./reception.ts";
import { afterPoll, type Poll, type ReplicaState, unknownReplica } from "./replica_state.ts";
import type { SqlOptions, Statement } from "./sql.ts";
import { Timings } from "./timings.ts";

const pollMilliseconds = 250;
const pollTimeoutMilliseconds = 500;

/** A fraction of the limit of lag, so that a silence is settled before it counts as lag. */
const silentShare = 1 / 4;

/**
 * A standby that has replayed all it received is not late, however old the last transaction is; unless it receives nothing any more, which
 * reception.ts finds out. received_tli and last_msg_receipt_time are shown to privileged users only (pg_read_all_stats).
 */
const statement: Statement = {
  text: `select pg_is_in_recovery() as standby, pg_last_wal_replay_lsn()::text as lsn,
    greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())::text as received,
    (select extract(epoch from clock_timestamp() - last_msg_receipt_time) * 1000 from pg_stat_wal_receiver)::float8 as silent,
    coalesce((select received_tli from pg_stat_wal_receiver), (select timeline_id from pg_control_checkpoint())) as timeline,
    case when pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() then 0
      else coalesce(extract(epoch from now() - pg_last_xact_replay_timestamp()) * 1000, 0) end::float8 as lag`,
  parameters: [],
};

interface Row {
  readonly standby: boolean;
  readonly lsn: string | null;
  readonly received: string | null;
  readonly silent: number | null;
  readonly timeline: number;
  readonly lag: number;
}

export class Replica {
  /** host:port */
  readonly name: string;
  /** Tells replicas apart where their addresses are nobody's business. */
  readonly id: string;
  readonly timings = new Timings();
  readonly pool: Pool;
  readonly #url: string;
  readonly #options: SqlOptions;
  readonly #lagMillisecondsMax: number;
  #state: ReplicaState = unknownReplica;
  #watcher: Connection | undefined;
  readonly #reception: Reception;
  /** When it had last replayed all it received. */
  #caughtUpAt = Number.NEGATIVE_INFINITY;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isClosed = false;

  /** `askPrimary`: how far the primary's log is flushed. */
  constructor(url: string, options: SqlOptions, lagMillisecondsMax: number, askPrimary: () => Promise<bigint>) {
    this.name = placeOf(url);
    this.id = hash32(this.name).toString(36);
    this.pool = new Pool(url, options, this.timings);
    this.#url = url;
    this.#options = options;
    this.#lagMillisecondsMax = lagMillisecondsMax;
    this.#reception = new Reception(askPrimary, lagMillisecondsMax * silentShare, performance.now());
    void this.#watch();
  }

  get isIn(): boolean {
    return this.#state.phase === "in";
  }

  /** It has replayed at least this. */
  get position(): Position | undefined {
    return this.#state.position;
  }

  get lagMilliseconds(): number {
    return this.#state.lagMilliseconds;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    await Promise.all([this.pool.close(), this.#watcher?.close(0)]);
  }

  async #watch(): Promise<void> {
    const poll = await this.#poll();
    if (this.#isClosed) return;
    const before = this.#state;
    this.#state = afterPoll(before, poll, this.#lagMillisecondsMax);
    if (before.phase !== this.#state.phase) this.#changed(before.phase);
    this.#timer = setTimeout(() => void this.#watch(), pollMilliseconds);
    this.#timer.unref();
  }

  #changed(from: ReplicaState["phase"]): void {
    const { phase: to, reason = "it is up to date", failures } = this.#state;
    const line = { replica: this.name, from, to, reason };
    const message = `replica ${this.name}: ${from} → ${to} (${reason})`;
    if (to === "in") log.info(line, message);
    else log.warn(line, message);
    // Statements that wait for a server that is gone go elsewhere; one that is only late answers those it has.
    if (to === "out" && failures > 0) this.pool.drop();
  }

  async #poll(): Promise<Poll> {
    const watcher = (this.#watcher ??= this.#connect());
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(
      () => late.reject(new Error(`no answer within ${pollTimeoutMilliseconds} ms`)),
      pollTimeoutMilliseconds,
    );
    try {
      const [row] = await Promise.race([watcher.query<Row>(statement), late.promise]);
      return this.#answer(row!);
    } catch (error) {
      // The next poll begins with a new connection: nobody knows what this one still has to say.
      void watcher.close(0);
      return { kind: "failure", reason: messageOf(error) };
    } finally {
      clearTimeout(timer);
    }
  }

  #answer({ standby, lsn: text, received, silent, timeline, lag }: Row): Poll {
    const lsn = parseLsn(text ?? "");
    if (!standby || lsn === undefined) return { kind: "failure", reason: "it is not a standby" };
    const now = performance.now();
    if (lag === 0) this.#caughtUpAt = now;
    // After a quiet hour the first transaction on its way looks an hour late; it cannot be later than when all had been replayed.
    const replayLag = Math.min(lag, now - this.#caughtUpAt);
    const silence = this.#reception.silence({ messageAge: silent ?? undefined, lsn: parseLsn(received ?? "") }, now);
    return { kind: "answer", position: { timeline, lsn }, lagMilliseconds: Math.max(replayLag, silence) };
  }

  #connect(): Connection {
    const watcher = new Connection(this.#url, this.#options, () => {
      if (this.#watcher === watcher) this.#watcher = undefined;
    });
    return watcher;
  }
}
