/**
 * The taking side of a queue on Redis: a consumer of the group, with a connection of its own for the blocking read and the queue's
 * for everything else. The transitions are redis_scripts.ts.
 */
import { RedisConnection } from "../redis/connection.ts";
import {
  listOf,
  numberOf,
  type Script,
  type ScriptArgument,
  type ScriptReply,
  textOf,
  textsOf,
} from "../redis/script.ts";
import { completedRecord, envelopeAfter, idInQueue, keepMsOf, leaseOf, markOf } from "./lease.ts";
import type { QueueLimits } from "./limits.ts";
import type { Beginning, Consumer, Lease, Orders, Settlement, Token } from "./queue.ts";
import { prune as pruneDone } from "./redis_inspector_scripts.ts";
import { type QueueKeys, queuesKey } from "./redis_keys.ts";
import * as leaseScripts from "./redis_lease_scripts.ts";
import type { RedisLeases } from "./redis_leases.ts";
import * as scripts from "./redis_scripts.ts";

/** Room for a round trip on top of the time a read waits by intention. */
const graceMs = 2_000;
const interruptIntervalMs = 50;
/** Jobs forgotten in one step. */
const pruneMax = 1_000;
/** Names of workers that are gone are dropped from the group after this long. */
const forgetAfterMs = 3_600_000;

type To<T extends Settlement["to"]> = Extract<Settlement, { to: T }>;

export class RedisConsumer implements Consumer {
  readonly #queue: string;
  readonly #leases: RedisLeases;
  readonly #limits: QueueLimits;
  readonly #commands: RedisConnection;
  readonly #reader: RedisConnection;
  #readerId: Promise<number> | undefined;
  #cursor = "0-0";
  /** Number of the connection on which the server was given the script that must not wait. */
  #prepared = 0;

  constructor(queue: string, leases: RedisLeases, url: string, commands: RedisConnection, limits: QueueLimits) {
    this.#queue = queue;
    this.#leases = leases;
    this.#limits = limits;
    this.#commands = commands;
    this.#reader = new RedisConnection(url, {
      name: `${limits.namespace}-take-${queue}`,
      unpipelined: true,
      onLostReply: "fail",
      operationTimeoutMs: graceMs,
      onReady: (client) => {
        this.#readerId = client.client("ID");
        this.#readerId.catch(() => undefined);
      },
    });
  }

  async take(max: number, waitMs: number, signal: AbortSignal): Promise<readonly Lease[]> {
    if (signal.aborted) return [];
    let interrupter: ReturnType<typeof setInterval> | undefined;
    const interrupt = () => {
      this.#unblock();
      interrupter ??= setInterval(() => this.#unblock(), interruptIntervalMs);
    };
    signal.addEventListener("abort", interrupt, { once: true });
    try {
      await this.#prepare();
      return await this.#leases.withGroup(() => this.#read(max, waitMs));
    } finally {
      signal.removeEventListener("abort", interrupt);
      clearInterval(interrupter);
    }
  }

  async settle(settlements: readonly Settlement[], round?: number): Promise<readonly Lease[]> {
    const { stream, started, delayed, delayedJobs, dead, deadJobs, unique, moved } = this.#keys;
    const { progress, cancel, counts } = this.#keys;
    const asked = round ?? "";
    const lost = await Promise.all([
      this.#ended("completed", asked, pick(settlements, "completed"), completedRecord),
      this.#ended("cancelled", asked, pick(settlements, "cancelled"), envelopeAfter),
      this.#fenced(
        scripts.delay,
        [stream, delayed, delayedJobs, moved, counts, started, this.#receipt("delay")],
        [asked],
        pick(settlements, "retryable", "scheduled"),
        (to) => [idInQueue(to.lease), Math.ceil(to.delayMs), envelopeAfter(to), to.to === "retryable" ? 1 : 0],
      ),
      this.#fenced(
        scripts.release,
        [stream, moved, started, this.#receipt("release")],
        [asked],
        pick(settlements, "available"),
        (to) => [idInQueue(to.lease), envelopeAfter(to)],
      ),
      this.#fenced(
        scripts.discard,
        [stream, dead, deadJobs, unique, moved, progress, cancel, counts, started, this.#receipt("discard")],
        [asked, this.#limits.deadLettersMax],
        pick(settlements, "discarded"),
        (to) => [idInQueue(to.lease), to.lease.unique ?? "", envelopeAfter(to)],
      ),
    ]);
    return lost.flat();
  }

  /** Jobs that completed or were cancelled, each with the record that is kept of it. */
  #ended<S extends To<"completed" | "cancelled">>(
    outcome: S["to"],
    round: ScriptArgument,
    settlements: readonly S[],
    recordOf: (settlement: S) => string,
  ): Promise<readonly Lease[]> {
    const { stream, unique, moved, done, doneJobs, progress, cancel, counts, started } = this.#keys;
    const keys = [stream, unique, moved, done, doneJobs, progress, cancel, counts, started, this.#receipt(outcome)];
    const first = [round, outcome, this.#limits.completedMax];
    return this.#fenced(scripts.complete, keys, first, settlements, (settlement) => {
      const { lease } = settlement;
      const keepMs = keepMsOf(settlement, this.#limits);
      return [idInQueue(lease), lease.unique ?? "", keepMs, keepMs > 0 ? recordOf(settlement) : ""];
    });
  }

  #receipt(step: string): string {
    return `${this.#keys.receipt}:${this.#owner}:${step}`;
  }

  begin(beginnings: readonly Beginning[]): Promise<readonly Lease[]> {
    const { stream, started } = this.#keys;
    return this.#fenced(leaseScripts.begin, [stream, started], [], beginnings, (one) => [markOf(one)]);
  }

  renew(tokens: readonly Token[]): Promise<readonly Token[]> {
    return this.#leases.renew(tokens);
  }

  handBack(tokens: readonly Token[]): Promise<void> {
    return this.#leases.handBack(tokens);
  }

  async reclaim(max: number, leaseMs: number): Promise<readonly Lease[]> {
    const { stream, started } = this.#keys;
    return this.#leases.withGroup(async () => {
      const args = [this.#owner, leaseMs, max, this.#cursor];
      const reply = listOf(await this.#script("reclaim jobs", leaseScripts.reclaim, [stream, started], args));
      this.#cursor = textOf(reply[0]);
      return this.#leasesIn(reply.slice(1));
    });
  }

  async held(max: number): Promise<readonly Lease[]> {
    const { stream, started } = this.#keys;
    return this.#leases.withGroup(async () => {
      const reply = await this.#script("list leases", leaseScripts.held, [stream, started], [this.#owner, max]);
      return this.#leasesIn(listOf(reply));
    });
  }

  async promote(max: number): Promise<number | undefined> {
    const { stream, delayed, delayedJobs, moved } = this.#keys;
    const keys = [stream, delayed, delayedJobs, moved];
    const nextMs = numberOf(await this.#script("promote jobs", scripts.promote, keys, [max]));
    return nextMs < 0 ? undefined : nextMs;
  }

  async orders(): Promise<Orders> {
    const { control, cancel } = this.#keys;
    const [paused, cancelled] = await this.#commands.run("read orders", (client) =>
      Promise.all([client.hget(control, "paused"), client.hkeys(cancel)]),
    );
    return { paused: paused !== null, cancelled: cancelled.map((id) => `${this.#queue}:${id}`) };
  }

  async report(progress: readonly { readonly lease: Lease; readonly value: string }[]): Promise<void> {
    const { stream, progress: notes } = this.#keys;
    await this.#fenced(scripts.report, [stream, notes], [], progress, ({ lease, value }) => [idInQueue(lease), value]);
  }

  async prune(): Promise<void> {
    const { done, doneJobs, dead, deadJobs } = this.#keys;
    const args = [this.#limits.deadLettersAge, pruneMax, this.#limits.completedMax];
    let gone: number;
    do gone = numberOf(await this.#script("forget old jobs", pruneDone, [done, doneJobs, dead, deadJobs], args));
    while (gone >= pruneMax);
    await this.#commands.run("make the queue known", (client) =>
      client.sadd(queuesKey(this.#limits.namespace), this.#queue),
    );
  }

  async close(): Promise<void> {
    if (this.#reader.state === "closed") return;
    this.#reader.close();
    // Only tidiness: a group keeps the name of a worker that could not say goodbye until another one starts.
    const forget = this.#script(
      "leave the group",
      leaseScripts.forgetConsumers,
      [this.#keys.stream],
      [forgetAfterMs, this.#owner],
    );
    await forget.catch(() => undefined);
  }

  /** A server that does not know a script yet is told in a second round trip: not when a job is about to begin. */
  async #prepare(): Promise<void> {
    const { connects } = this.#commands;
    if (this.#prepared === connects && connects > 0) return;
    const { stream, started } = this.#keys;
    await this.#script("prepare to take jobs", leaseScripts.begin, [stream, started], [this.#owner, "0", "0"]);
    this.#prepared = this.#commands.connects;
  }

  async #read(max: number, waitMs: number): Promise<readonly Lease[]> {
    const { stream } = this.#keys;
    const wait = Math.max(1, Math.ceil(waitMs));
    const reply = await this.#reader.run(
      "take jobs",
      (client) =>
        client.xreadgroup(
          "GROUP",
          leaseScripts.group,
          this.#owner,
          "COUNT",
          max,
          "BLOCK",
          wait,
          "STREAMS",
          stream,
          ">",
        ),
      waitMs + graceMs,
    );
    const entries = reply === null ? [] : listOf(listOf((reply as readonly ScriptReply[])[0])[1]);
    return entries.map((entry) => {
      const [id, fields] = listOf(entry);
      const [, envelope = "", , mark = ""] = textsOf(fields);
      return this.#lease(textOf(id), 1, mark, envelope);
    });
  }

  /** Ends a blocking read without losing what it was about to deliver. */
  #unblock(): void {
    const unblocked = this.#readerId?.then((id) => this.#commands.client.client("UNBLOCK", id));
    unblocked?.catch(() => undefined);
  }

  #fenced<T extends { readonly lease: Lease }>(
    chosen: Script,
    keys: readonly string[],
    first: readonly ScriptArgument[],
    items: readonly T[],
    rest: (item: T) => readonly ScriptArgument[],
  ): Promise<readonly Lease[]> {
    return this.#leases.fenced(chosen, keys, first, items, ({ lease }) => lease, rest);
  }

  #script(
    what: string,
    chosen: Script,
    keys: readonly string[],
    args: readonly ScriptArgument[],
  ): Promise<ScriptReply> {
    return this.#leases.script(what, chosen, keys, args);
  }

  get #keys(): QueueKeys {
    return this.#leases.keys;
  }

  get #owner(): string {
    return this.#leases.owner;
  }

  /** From entry, deliveries, mark, envelope of each, flat. */
  #leasesIn(flat: readonly ScriptReply[]): readonly Lease[] {
    const leases: Lease[] = [];
    for (let index = 0; index + 3 < flat.length; index += 4) {
      const deliveries = numberOf(flat[index + 1]);
      leases.push(this.#lease(textOf(flat[index]), deliveries, textOf(flat[index + 2]), textOf(flat[index + 3])));
    }
    return leases;
  }

  #lease(entry: string, deliveries: number, mark: string, envelope: string): Lease {
    const availableAtMs = millisecondsOf(entry);
    return leaseOf({ queue: this.#queue, owner: this.#owner, entry, deliveries, mark, availableAtMs, envelope });
  }
}

function pick<T extends Settlement["to"]>(settlements: readonly Settlement[], ...to: readonly T[]): To<T>[] {
  return settlements.filter((settlement): settlement is To<T> => (to as readonly string[]).includes(settlement.to));
}

/** A stream's entry id is the server's clock in milliseconds, then a sequence. */
function millisecondsOf(entry: string): number {
  return Number(entry.slice(0, entry.indexOf("-")));
}
