/**
 * The taking side of a queue in SQLite. There is nothing to wait on across processes, so a waiting take looks again at short
 * intervals; a look at an empty queue is one index probe, about ten microseconds. The transitions are sqlite_statements.ts.
 */
import type { Database } from "bun:sqlite";

import { pause } from "../../std/pause.ts";
import type { SqliteStore } from "../sqlite/database.ts";
import { completedRecord, envelopeAfter, idInQueue, keepMsOf, leaseOf, markOf, startsOf } from "./lease.ts";
import type { QueueLimits } from "./limits.ts";
import { priorities, type Priority, Turns } from "./priorities.ts";
import type { Beginning, Consumer, Lease, Orders, Settlement, Token } from "./queue.ts";
import * as gates from "./sqlite_gates.ts";
import * as kept from "./sqlite_kept.ts";
import * as once from "./sqlite_once.ts";
import * as statements from "./sqlite_statements.ts";

const lookIntervalMsMin = 5;
const lookIntervalMsMax = 40;
/** Jobs forgotten in one step. */
const pruneMax = 1_000;
const counted = [
  ["completed", "completed"],
  ["cancelled", "cancelled"],
  ["discarded", "discarded"],
  ["retryable", "retried"],
] as const;

interface Row {
  readonly id: number;
  readonly stored: number;
  readonly deliveries: number;
  readonly mark: string;
  readonly available_at: number;
  readonly envelope: string;
}

type Fence = [id: string, owner: string, deliveries: number, stored: string];

export class SqliteConsumer implements Consumer {
  readonly #store: SqliteStore;
  readonly #queue: string;
  /** With the namespace, as the table has it. */
  readonly #name: string;
  readonly #owner: string;
  readonly #limits: QueueLimits;
  readonly #turns = new Turns();
  #addedSinceTrim = 0;
  /** The gate after which mending goes on. */
  #mendedAt = "";

  constructor(store: SqliteStore, queue: string, name: string, owner: string, limits: QueueLimits) {
    this.#store = store;
    this.#queue = queue;
    this.#name = name;
    this.#owner = owner;
    this.#limits = limits;
  }

  async take(max: number, waitMs: number, signal: AbortSignal): Promise<readonly Lease[]> {
    const untilMs = performance.now() + waitMs;
    for (
      let intervalMs = lookIntervalMsMin;
      !signal.aborted;
      intervalMs = Math.min(intervalMs * 2, lookIntervalMsMax)
    ) {
      const leases = await this.#takeNow(max);
      const leftMs = untilMs - performance.now();
      if (leases.length > 0 || leftMs <= 0) return leases;
      await pause(Math.min(intervalMs, leftMs), signal);
    }
    return [];
  }

  /** Looks before it writes: an idle worker must not hold the file's one write lock forty times a second. */
  async #takeNow(max: number): Promise<readonly Lease[]> {
    const waiting = this.#store.run("take jobs", (database) =>
      priorities.filter((one) => database.query(statements.anyAvailable).get(this.#name, one) !== null),
    );
    return this.#turns.take(max, waiting, async (priority, share) => this.#takeOf(priority, share));
  }

  #takeOf(priority: Priority, max: number): readonly Lease[] {
    return this.#store.run("take jobs", (database) => {
      const taken = database.query<Row, [string, string, number, number, string]>(statements.take);
      return this.#leases(taken.all(this.#name, this.#owner, Date.now(), max, priority));
    });
  }

  async settle(settlements: readonly Settlement[]): Promise<readonly Lease[]> {
    return this.#store.transaction("settle jobs", (database) => {
      const lost = settlements.filter((settlement) => !this.#apply(database, settlement)).map(({ lease }) => lease);
      const ended = settlements.filter(({ lease }) => !lost.includes(lease));
      for (const [to, count] of counted)
        kept.add(database, this.#name, count, ended.filter((one) => one.to === to).length);
      if (ended.some(({ to }) => to === "discarded")) {
        database.query(statements.trimDeadLetters).run(this.#name, this.#limits.deadLettersMax);
      }
      this.#trimDone(database, ended.filter(({ to }) => to === "completed" || to === "cancelled").length);
      return lost;
    });
  }

  /** Counting what is kept reads all of it, so it is done once for every hundredth of it that was added. */
  #trimDone(database: Database, added: number): void {
    this.#addedSinceTrim += added;
    if (this.#addedSinceTrim < Math.max(1, this.#limits.completedMax / 100)) return;
    this.#addedSinceTrim = 0;
    kept.trimDone(database, this.#name, this.#limits.completedMax);
  }

  /** False where the lease is no longer ours. */
  #apply(database: Database, settlement: Settlement): boolean {
    const { to, lease } = settlement;
    const token = this.#fence(lease);
    const now = Date.now();
    switch (to) {
      case "completed":
      case "cancelled":
        return this.#end(database, settlement);
      case "discarded": {
        const ours = database.query(statements.discard).run(...token, now, envelopeAfter(settlement)).changes > 0;
        if (ours) kept.forgetOrders(database, this.#name, idInQueue(lease));
        if (ours) this.#leaveGates(database, lease, false);
        return ours;
      }
      case "available":
        return database.query(statements.putBack).run(...token, to, now, envelopeAfter(settlement)).changes > 0;
      case "scheduled":
      case "retryable": {
        const due = now + Math.ceil(settlement.delayMs);
        const ours = database.query(statements.putBack).run(...token, to, due, envelopeAfter(settlement)).changes > 0;
        if (ours && to === "retryable") gates.noteEnd(database, token[0], lease.gates);
        if (ours) this.#leaveGates(database, lease, true);
        return ours;
      }
    }
  }

  #end(database: Database, settlement: Extract<Settlement, { to: "completed" | "cancelled" }>): boolean {
    const { lease } = settlement;
    const id = idInQueue(lease);
    const token = this.#fence(lease);
    let left: readonly string[] = [];
    if (lease.gates.length > 0) {
      if (database.query(statements.ours).get(...token) === null) return false;
      if (settlement.to === "completed") gates.noteEnd(database, token[0], lease.gates);
      left = gates.heldBy(database, token[0]);
    }
    if (database.query(statements.complete).run(...token).changes === 0) return false;
    gates.admit(database, this.#name, left);
    const keepMs = keepMsOf(settlement, this.#limits);
    if (keepMs > 0) {
      const record = settlement.to === "completed" ? completedRecord(settlement) : envelopeAfter(settlement);
      kept.keepDone(database, this.#name, id, Date.now() + keepMs, record);
    }
    kept.forgetOrders(database, this.#name, id);
    return true;
  }

  /** Of a job that is not at an end. */
  #leaveGates(database: Database, lease: Lease, keep: boolean): void {
    const [row] = this.#fence(lease);
    if (lease.gates.length > 0) gates.leave(database, this.#name, row, lease.gates, keep);
  }

  async begin(beginnings: readonly Beginning[]): Promise<readonly Lease[]> {
    return this.#store.transaction("begin jobs", (database) =>
      beginnings.filter((one) => !this.#begin(database, one)).map(({ lease }) => lease),
    );
  }

  /** False where the lease is no longer ours. */
  #begin(database: Database, one: Beginning): boolean {
    const { lease } = one;
    const token = this.#fence(lease);
    const mark = markOf(one, Date.now());
    const limited = lease.gates.length > 0;
    const before = limited ? database.query<{ mark: string }, Fence>(statements.ours).get(...token) : null;
    if (database.query(statements.begin).run(...token, mark).changes === 0) return false;
    // The same begin once more, because its answer got lost, is as many starts as are noted.
    if (limited && startsOf(before?.mark ?? "") !== startsOf(mark))
      gates.noteBegin(database, this.#name, token[0], lease.gates);
    return true;
  }

  async renew(tokens: readonly Token[]): Promise<readonly Token[]> {
    if (tokens.length === 0) return [];
    return this.#store.transaction("renew leases", (database) =>
      tokens.filter((token) => database.query(statements.renew).run(...this.#fence(token), Date.now()).changes === 0),
    );
  }

  async handBack(tokens: readonly Token[]): Promise<void> {
    if (tokens.length === 0) return;
    this.#store.transaction("hand jobs back", (database) => {
      for (const token of tokens) database.query(statements.handBack).run(...this.#fence(token), Date.now());
    });
  }

  #fence({ entry, deliveries }: Token): Fence {
    const [id = "", stored = "0"] = entry.split(".");
    return [id, this.#owner, deliveries, stored];
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
    const next = () => this.#store.run("look for due jobs", (database) => this.#nextAt(database));
    const nextAt = next();
    if (nextAt === undefined) return undefined;
    if (nextAt > Date.now()) return nextAt - Date.now();
    this.#store.transaction("promote jobs", (database) => {
      database.query(statements.promote).run(this.#name, Date.now(), max);
      gates.promote(database, this.#name, max);
    });
    const then = next();
    return then === undefined ? undefined : Math.max(0, then - Date.now());
  }

  /** When a job is due, or a place is free that some job waits for. */
  #nextAt(database: Database): number | undefined {
    const due = database.query<{ at: number | null }, [string]>(statements.nextDue).get(this.#name)?.at ?? undefined;
    const free = gates.nextFreeAt(database, this.#name);
    return due === undefined || free === undefined ? (due ?? free) : Math.min(due, free);
  }

  async orders(): Promise<Orders> {
    return this.#store.run("read orders", (database) => ({
      paused: kept.pausedSince(database, this.#name) !== undefined,
      cancelled: kept.cancelledIds(database, this.#name).map((id) => `${this.#queue}:${id}`),
    }));
  }

  async report(progress: readonly { readonly lease: Lease; readonly value: string }[]): Promise<void> {
    this.#store.transaction("note progress", (database) => {
      for (const { lease, value } of progress) {
        if (database.query(statements.ours).get(...this.#fence(lease)) === null) continue;
        kept.report(database, this.#name, idInQueue(lease), value);
      }
    });
  }

  async prune(): Promise<void> {
    this.#store.transaction("forget old jobs", (database) => {
      kept.prune(database, this.#name, this.#limits.deadLettersAge, pruneMax);
      kept.trimDone(database, this.#name, this.#limits.completedMax);
      once.pruneThrottles(database, this.#name);
      this.#mendedAt = gates.mend(database, this.#name, this.#mendedAt);
      // A queue is known by its counts.
      kept.makeKnown(database, this.#name);
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
      .map(({ id, stored, deliveries, mark, available_at: availableAtMs, envelope }) =>
        leaseOf({
          queue: this.#queue,
          owner: this.#owner,
          entry: stored === 0 ? String(id) : `${id}.${stored}`,
          ownId: String(id),
          deliveries,
          mark,
          availableAtMs,
          envelope,
        }),
      );
  }
}
