/**
 * Leases of one owner on Redis, held: transitions that are fenced by the token, over many leases at once. Taking new ones is
 * redis_consumer.ts, the transitions are redis_scripts.ts.
 */
import type { Redis } from "ioredis";

import { isReply, type RedisAccess } from "../redis/connection.ts";
import { type Script, type ScriptArgument, type ScriptReply, textsOf } from "../redis/script.ts";
import { priorities, type Priority } from "./priorities.ts";
import type { Keeper, Token } from "./queue.ts";
import { numberOfEntry, priorityOf, type QueueKeys, type StreamKeys } from "./redis_keys.ts";
import * as scripts from "./redis_lease_scripts.ts";

export class RedisLeases implements Keeper {
  readonly owner: string;
  readonly keys: QueueKeys;
  readonly #redis: RedisAccess;

  constructor(owner: string, keys: QueueKeys, redis: RedisAccess) {
    this.owner = owner;
    this.keys = keys;
    this.#redis = redis;
  }

  renew(tokens: readonly Token[]): Promise<readonly Token[]> {
    return this.fenced(
      scripts.renew,
      ({ stream }) => [stream],
      [],
      tokens,
      (token) => token,
      nothing,
    );
  }

  async handBack(tokens: readonly Token[]): Promise<void> {
    const { moved } = this.keys;
    const keysOf = ({ stream, started }: StreamKeys) => [stream, started, moved];
    await this.fenced(scripts.handBack, keysOf, [], tokens, (token) => token, nothing);
  }

  /**
   * Runs one transition for many leases; returns those that were lost. `keysOf`: the script's keys for leases in this stream. `rest` is
   * what the script wants to know of each after entry and deliveries.
   */
  async fenced<T, L extends Token>(
    chosen: Script,
    keysOf: (at: StreamKeys) => readonly string[],
    first: readonly ScriptArgument[],
    items: readonly T[],
    tokenOf: (item: T) => L,
    rest: (item: T) => readonly ScriptArgument[],
  ): Promise<readonly L[]> {
    if (items.length === 0) return [];
    const run = (priority: Priority, some: readonly T[]) =>
      this.#fencedIn(priority, chosen, keysOf(this.keys.streams[priority]), first, some, tokenOf, rest);
    const priority = priorityOf(tokenOf(items[0]!).entry);
    if (items.every((item) => priorityOf(tokenOf(item).entry) === priority)) return run(priority, items);
    const lost = priorities.map((each) =>
      run(
        each,
        items.filter((item) => priorityOf(tokenOf(item).entry) === each),
      ),
    );
    return (await Promise.all(lost)).flat();
  }

  async #fencedIn<T, L extends Token>(
    priority: Priority,
    chosen: Script,
    keys: readonly string[],
    first: readonly ScriptArgument[],
    items: readonly T[],
    tokenOf: (item: T) => L,
    rest: (item: T) => readonly ScriptArgument[],
  ): Promise<readonly L[]> {
    if (items.length === 0) return [];
    const tokens = items.map(tokenOf);
    const numbers = tokens.map(({ entry }) => numberOfEntry(entry));
    const args: ScriptArgument[] = [this.owner, ...ends(numbers), ...first];
    for (const [index, { deliveries }] of tokens.entries()) {
      args.push(numbers[index]!, deliveries, ...rest(items[index]!));
    }
    return this.withGroup([priority], async () => {
      const lost = new Set(textsOf(await this.script("settle jobs", chosen, keys, args)));
      return lost.size === 0 ? [] : tokens.filter((_, index) => lost.has(numbers[index]!));
    });
  }

  /** Makes the groups of these priorities where there are none, as after FLUSHALL. From 0: what was enqueued since must be seen. */
  async withGroup<T>(of: readonly Priority[], operation: () => Promise<T>): Promise<T> {
    try {
      return await operation();
    } catch (error) {
      if (!isReply(error, "NOGROUP") && !isReply(error, "UNBLOCKED")) throw error;
      for (const priority of of) {
        const { stream } = this.keys.streams[priority];
        await this.#redis.run("create the group", stream, (client) => createGroup(client, stream));
      }
      return await operation();
    }
  }

  script(what: string, chosen: Script, keys: readonly string[], args: readonly ScriptArgument[]): Promise<ScriptReply> {
    return this.#redis.run(what, keys[0]!, (client) => chosen(client, keys, args));
  }
}

const nothing = () => [];

/** The first and the last. An entry's number is the server's clock in milliseconds, then a sequence. */
function ends(numbers: readonly string[]): [first: string, last: string] {
  let first = numbers[0]!;
  let last = first;
  for (const entry of numbers) {
    if (isBefore(last, entry)) last = entry;
    else if (isBefore(entry, first)) first = entry;
  }
  return [first, last];
}

function isBefore(a: string, b: string): boolean {
  const [dashA, dashB] = [a.indexOf("-"), b.indexOf("-")];
  // Nearly always: numbers with as many digits are in the order of their texts, which costs a tenth of reading them.
  if (dashA === dashB && a.length === b.length) return a < b;
  const difference = Number(a.slice(0, dashA)) - Number(b.slice(0, dashB));
  return difference === 0 ? Number(a.slice(dashA + 1)) < Number(b.slice(dashB + 1)) : difference < 0;
}

async function createGroup(client: Redis, stream: string): Promise<void> {
  try {
    await client.xgroup("CREATE", stream, scripts.group, "0", "MKSTREAM");
  } catch (error) {
    if (!isReply(error, "BUSYGROUP")) throw error;
  }
}
