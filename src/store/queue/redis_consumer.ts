/**
 * The taking side of a queue on Redis: a consumer of the group. How it waits for jobs is redis_reader.ts, how it records
 * outcomes redis_settling.ts, the transitions are redis_scripts.ts.
 */
import type { OpenRedis } from "../redis/access.ts";
import type { RedisAccess, RedisConnection } from "../redis/connection.ts";
import {
  listOf,
  numberOf,
  type Script,
  type ScriptArgument,
  type ScriptReply,
  textOf,
  textsOf,
} from "../redis/script.ts";
import { isRated } from "./gates.ts";
import { idInQueue, leaseOf, markOf } from "./lease.ts";
import { type QueueLimits, throttlesMax } from "./limits.ts";
import { priorities, type Priority } from "./priorities.ts";
import type { Beginning, Consumer, Lease, Orders, Settlement, Token } from "./queue.ts";
import { beginAny, gateKeys, mend } from "./redis_gate_scripts.ts";
import { prune as pruneDone } from "./redis_inspector_scripts.ts";
import { type QueueKeys, queuesKey, type StreamKeys, suffixOf } from "./redis_keys.ts";
import * as leaseScripts from "./redis_lease_scripts.ts";
import type { RedisLeases } from "./redis_leases.ts";
import { RedisReader } from "./redis_reader.ts";
import * as scripts from "./redis_scripts.ts";
import { settle, variantFor } from "./redis_settling.ts";

/** Jobs forgotten in one step. */
const pruneMax = 1_000;
/** Names of workers that are gone are dropped from the group after this long. */
const forgetAfterMs = 3_600_000;

export class RedisConsumer implements Consumer {
  readonly #queue: string;
  readonly #leases: RedisLeases;
  readonly #limits: QueueLimits;
  readonly #commands: RedisAccess;
  readonly #reader: RedisReader;
  /** Where reclaiming goes on, in the stream of each. */
  readonly #cursors: { [P in Priority]: string } = { high: "0-0", normal: "0-0", low: "0-0" };
  #mending = { cursor: "0", gate: "" };
  /** Where, and on which of its connections, the server was given the scripts that must not wait. */
  #prepared: { readonly connection: RedisConnection; readonly connects: number } | undefined;

  constructor(queue: string, leases: RedisLeases, open: OpenRedis, commands: RedisAccess, limits: QueueLimits) {
    this.#queue = queue;
    this.#leases = leases;
    this.#limits = limits;
    this.#commands = commands;
    this.#reader = new RedisReader(open, `${limits.namespace}-take-${queue}`, leases, commands);
  }

  async take(max: number, waitMs: number, signal: AbortSignal): Promise<readonly Lease[]> {
    await this.#prepare();
    const taken = await this.#reader.take(max, waitMs, signal);
    return taken.map(({ entry, mark, envelope }) => this.#lease(entry, 1, mark, envelope));
  }

  settle(settlements: readonly Settlement[], round?: number): Promise<readonly Lease[]> {
    return settle(this.#leases, this.#limits, settlements, round);
  }

  begin(beginnings: readonly Beginning[]): Promise<readonly Lease[]> {
    const [chosen, gates] = variantFor(beginnings, { plain: leaseScripts.begin, any: beginAny }, this.#keys);
    const keys = ({ stream, started }: StreamKeys) => [stream, started, ...gates];
    const counting = ({ lease }: Beginning) => (isRated(lease.gates) ? idInQueue(lease) : "");
    const now = Date.now();
    return this.#fenced(chosen, keys, [], beginnings, (one) => [markOf(one, now), counting(one)]);
  }

  renew(tokens: readonly Token[]): Promise<readonly Token[]> {
    return this.#leases.renew(tokens);
  }

  handBack(tokens: readonly Token[]): Promise<void> {
    return this.#leases.handBack(tokens);
  }

  async reclaim(max: number, leaseMs: number): Promise<readonly Lease[]> {
    return this.#inEach(max, async (priority, { stream, started }, left) => {
      const args = [this.#owner, leaseMs, left, this.#cursors[priority]];
      const reply = listOf(await this.#script("reclaim jobs", leaseScripts.reclaim, [stream, started], args));
      this.#cursors[priority] = textOf(reply[0]);
      return reply.slice(1);
    });
  }

  async held(max: number): Promise<readonly Lease[]> {
    return this.#inEach(max, async (_, { stream, started }, left) =>
      listOf(await this.#script("list leases", leaseScripts.held, [stream, started], [this.#owner, left])),
    );
  }

  /** Up to `max` leases, from one stream after the other. `find` answers with entry, deliveries, mark, envelope of each, flat. */
  async #inEach(
    max: number,
    find: (priority: Priority, keys: StreamKeys, left: number) => Promise<readonly ScriptReply[]>,
  ): Promise<readonly Lease[]> {
    const leases: Lease[] = [];
    for (const priority of this.#reader.inUse) {
      const left = max - leases.length;
      if (left <= 0) break;
      const found = () => find(priority, this.#keys.streams[priority], left);
      leases.push(...this.#leasesIn(priority, await this.#leases.withGroup([priority], found)));
    }
    return leases;
  }

  async promote(max: number): Promise<number | undefined> {
    const { delayed, delayedJobs } = this.#keys;
    const keys = [delayed, delayedJobs, ...gateKeys(this.#keys)];
    const nextMs = numberOf(await this.#script("promote jobs", scripts.promote, keys, [max]));
    return nextMs < 0 ? undefined : nextMs;
  }

  async orders(): Promise<Orders> {
    const { control, cancel, streams } = this.#keys;
    const [paused, cancelled, ...exist] = await this.#commands.run("read orders", control, (client) =>
      Promise.all([
        client.hget(control, "paused"),
        client.hkeys(cancel),
        client.exists(streams.high.stream),
        client.exists(streams.low.stream),
      ]),
    );
    this.#reader.use(priorities.filter((one) => one === "normal" || exist[one === "high" ? 0 : 1] === 1));
    return { paused: paused !== null, cancelled: cancelled.map((id) => `${this.#queue}:${id}`) };
  }

  async report(progress: readonly { readonly lease: Lease; readonly value: string }[]): Promise<void> {
    const { progress: notes } = this.#keys;
    const keys = ({ stream }: StreamKeys) => [stream, notes];
    await this.#fenced(scripts.report, keys, [], progress, ({ lease, value }) => [idInQueue(lease), value]);
  }

  async prune(): Promise<void> {
    const { done, doneJobs, dead, deadJobs, throttled, throttledJobs } = this.#keys;
    const keys = [done, doneJobs, dead, deadJobs, throttled, throttledJobs];
    const args = [this.#limits.deadLettersAge, pruneMax, this.#limits.completedMax, throttlesMax];
    let gone: number;
    do gone = numberOf(await this.#script("forget old jobs", pruneDone, keys, args));
    while (gone >= pruneMax);
    await this.#mend();
    const known = queuesKey(this.#limits.namespace);
    await this.#commands.run("make the queue known", known, (client) => client.sadd(known, this.#queue));
  }

  async #mend(): Promise<void> {
    const keys = [this.#keys.delayed, ...gateKeys(this.#keys)];
    const next = await this.#script("mend gates", mend, keys, [this.#mending.cursor, this.#mending.gate]);
    const [cursor = "0", gate = ""] = textsOf(next);
    this.#mending = { cursor, gate };
  }

  async close(): Promise<void> {
    if (!this.#reader.close()) return;
    // Only tidiness: a group keeps the name of a worker that could not say goodbye until another one starts.
    const forget = this.#reader.inUse.map((priority) => {
      const { stream } = this.#keys.streams[priority];
      return this.#script("leave the group", leaseScripts.forgetConsumers, [stream], [forgetAfterMs, this.#owner]);
    });
    await Promise.allSettled(forget);
  }

  /** A server that does not know a script yet is told in a second round trip: not when a job is about to begin. */
  async #prepare(): Promise<void> {
    const { stream, started } = this.#keys.streams.normal;
    const here = this.#commands.at(stream);
    if (here !== undefined && this.#prepared?.connection === here && this.#prepared.connects === here.connects) return;
    const args = [this.#owner, "0", "0"];
    await this.#script("prepare to take jobs", leaseScripts.begin, [stream, started], args);
    await this.#script("prepare to take jobs", beginAny, [stream, started, ...gateKeys(this.#keys)], args);
    const connection = this.#commands.at(stream);
    if (connection !== undefined) this.#prepared = { connection, connects: connection.connects };
  }

  #fenced<T extends { readonly lease: Lease }>(
    chosen: Script,
    keys: (at: StreamKeys) => readonly string[],
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
  #leasesIn(priority: Priority, flat: readonly ScriptReply[]): readonly Lease[] {
    const suffix = suffixOf(priority);
    const leases: Lease[] = [];
    for (let index = 0; index + 3 < flat.length; index += 4) {
      const deliveries = numberOf(flat[index + 1]);
      const entry = `${textOf(flat[index])}${suffix}`;
      leases.push(this.#lease(entry, deliveries, textOf(flat[index + 2]), textOf(flat[index + 3])));
    }
    return leases;
  }

  #lease(entry: string, deliveries: number, mark: string, envelope: string): Lease {
    const availableAtMs = millisecondsOf(entry);
    return leaseOf({ queue: this.#queue, owner: this.#owner, entry, deliveries, mark, availableAtMs, envelope });
  }
}

/** A stream's entry id is the server's clock in milliseconds, then a sequence. */
function millisecondsOf(entry: string): number {
  return Number(entry.slice(0, entry.indexOf("-")));
}
