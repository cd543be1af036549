/**
 * The taking side of a queue in SQLite. There is nothing to wait on across processes, so a waiting take looks again at short
 * intervals; a look at an empty queue is one index probe, about ten microseconds. The transitions are sqlite_statements.ts.
 */
import type { Database } from "bun:sqlite";

import { pause } from "../../std/pause.ts";
import type { SqliteStore } from "../sqlite/database.ts";
import { envelopeAfter, leaseOf } from "./lease.ts";
import type { Consumer, Lease, Settlement } from "./queue.ts";
import * as statements from "./sqlite_statements.ts";

const lookIntervalMsMin = 5;
const lookIntervalMsMax = 40;

interface Row {
  readonly id: number;
  readonly deliveries: number;
  readonly available_at: number;
  readonly envelope: string;
}

type Token = [id: string, owner: string, deliveries: number];

export class SqliteConsumer implements Consumer {
  readonly #store: SqliteStore;
  readonly #queue: string;
  /** With the namespace, as the table has it. */
  readonly #name: string;
  readonly #owner: string;
  readonly #deadLettersMax: number;

  constructor(store: SqliteStore, queue: string, name: string, owner: string, deadLettersMax: number) {
    this.#store = store;
    this.#queue = queue;
    this.#name = name;
    this.#owner = owner;
    this.#deadLettersMax = deadLettersMax;
  }

  async take(max: number, waitMs: number, signal: AbortSignal): Promise<readonly Lease[]> {
    const untilMs = performance.now() + waitMs;
    for (
      let intervalMs = lookIntervalMsMin;
      !signal.aborted;
      intervalMs = Math.min(intervalMs * 2, lookIntervalMsMax)
    ) {
      const leases = this.#takeNow(max);
      const leftMs = untilMs - performance.now();
      if (leases.length > 0 || leftMs <= 0) return leases;
      await pause(Math.min(intervalMs, leftMs), signal);
    }
    return [];
  }

  /** Looks before it writes: an idle worker must not hold the file's one write lock forty times a second. */
  #takeNow(max: number): readonly Lease[] {
    return this.#store.run("take jobs", (database) => {
      if (database.query(statements.anyAvailable).get(this.#name) === null) return [];
      const taken = database.query<Row, [string, string, number, number]>(statements.take);
      return this.#leases(taken.all(this.#name, this.#owner, Date.now(), max));
    });
  }

  async settle(settlements: readonly Settlement[]): Promise<readonly Lease[]> {
    return this.#store.transaction("settle jobs", (database) => {
      const lost = settlements.filter((settlement) => !this.#apply(database, settlement)).map(({ lease }) => lease);
      if (settlements.some(({ to }) => to === "discarded")) {
        database.query(statements.trimDeadLetters).run(this.#name, this.#deadLettersMax);
      }
      return lost;
    });
  }

  /** False where the lease is no longer ours. */
  #apply(database: Database, settlement: Settlement): boolean {
    const { to, lease } = settlement;
    const token = tokenOf(lease);
    const now = Date.now();
    switch (to) {
      case "completed":
        return database.query(statements.complete).run(...token).changes > 0;
      case "discarded":
        return database.query(statements.discard).run(...token, now, envelopeAfter(settlement)).changes > 0;
      case "available":
        return database.query(statements.putBack).run(...token, to, now, envelopeAfter(settlement)).changes > 0;
      case "scheduled":
      case "retryable": {
        const due = now + Math.ceil(settlement.delayMs);
        return database.query(statements.putBack).run(...token, to, due, envelopeAfter(settlement)).changes > 0;
      }
    }
  }

  async renew(leases: readonly Lease[]): Promise<readonly Lease[]> {
    if (leases.length === 0) return [];
    return this.#store.transaction("renew leases", (database) =>
      leases.filter((lease) => database.query(statements.renew).run(...tokenOf(lease), Date.now()).changes === 0),
    );
  }

  async reclaim(max: number, leaseMs: number): Promise<readonly Lease[]> {
    const now = Date.now();
    return this.#store.run("reclaim jobs", (database) => {
      const claimed = database.query<Row, [string, string, number, number, number]>(statements.reclaim);
      return this.#leases(claimed.all(this.#name, this.#owner, now, now - leaseMs, max));
    });
  }

  async held(max: number): Promise<readonly Lease[]> {
    return this.#store.run("list leases", (database) =>
      this.#leases(database.query<Row, [string, string, number]>(statements.held).all(this.#name, this.#owner, max)),
    );
  }

  async promote(max: number): Promise<number | undefined> {
    return this.#store.run("promote jobs", (database) => {
      const next = () =>
        database.query<{ at: number | null }, [string]>(statements.nextDue).get(this.#name)?.at ?? null;
      const due = next();
      if (due === null) return undefined;
      if (due > Date.now()) return due - Date.now();
      database.query(statements.promote).run(this.#name, Date.now(), max);
      const then = next();
      return then === null ? undefined : Math.max(0, then - Date.now());
    });
  }

  /** Nothing to let go of: the file belongs to the queue. */
  close(): Promise<void> {
    return Promise.resolve();
  }

  /** RETURNING promises no order. */
  #leases(rows: readonly Row[]): readonly Lease[] {
    return rows
      .toSorted((a, b) => a.available_at - b.available_at || a.id - b.id)
      .map(({ id, deliveries, available_at: availableAtMs, envelope }) =>
        leaseOf({ queue: this.#queue, owner: this.#owner, entry: String(id), deliveries, availableAtMs, envelope }),
      );
  }
}

function tokenOf(lease: Lease): Token {
  return [lease.entry, lease.owner, lease.deliveries];
}
