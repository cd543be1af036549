/**
 * Leases of one owner on Redis, held: transitions that are fenced by the token, over many leases at once. Taking new ones is
 * redis_consumer.ts, the transitions are redis_scripts.ts.
 */
import type { Redis } from "ioredis";

import { isReply, type RedisConnection } from "../redis/connection.ts";
import { type Script, type ScriptArgument, type ScriptReply, textsOf } from "../redis/script.ts";
import type { Keeper, Token } from "./queue.ts";
import type { QueueKeys } from "./redis_keys.ts";
import * as scripts from "./redis_lease_scripts.ts";

export class RedisLeases implements Keeper {
  readonly owner: string;
  readonly keys: QueueKeys;
  readonly #connection: RedisConnection;

  constructor(owner: string, keys: QueueKeys, connection: RedisConnection) {
    this.owner = owner;
    this.keys = keys;
    this.#connection = connection;
  }

  renew(tokens: readonly Token[]): Promise<readonly Token[]> {
    return this.fenced(scripts.renew, [this.keys.stream], [], tokens, (token) => token, nothing);
  }

  async handBack(tokens: readonly Token[]): Promise<void> {
    const { stream, started, moved } = this.keys;
    await this.fenced(scripts.handBack, [stream, started, moved], [], tokens, (token) => token, nothing);
  }

  /**
   * Runs one transition for many leases; returns those that were lost. `rest` is what the script wants to know of each after entry and
   * deliveries.
   */
  async fenced<T, L extends Token>(
    chosen: Script,
    keys: readonly string[],
    first: readonly ScriptArgument[],
    items: readonly T[],
    tokenOf: (item: T) => L,
    rest: (item: T) => readonly ScriptArgument[],
  ): Promise<readonly L[]> {
    if (items.length === 0) return [];
    const tokens = items.map(tokenOf);
    const args: ScriptArgument[] = [this.owner, ...ends(tokens), ...first];
    for (const [index, { entry, deliveries }] of tokens.entries()) args.push(entry, deliveries, ...rest(items[index]!));
    return this.withGroup(async () => {
      const lost = new Set(textsOf(await this.script("settle jobs", chosen, keys, args)));
      return lost.size === 0 ? [] : tokens.filter(({ entry }) => lost.has(entry));
    });
  }

  /** Makes the group where there is none, as after FLUSHALL. From 0: what was enqueued since must be seen. */
  async withGroup<T>(operation: () => Promise<T>): Promise<T> {
    try {
      return await operation();
    } catch (error) {
      if (!isReply(error, "NOGROUP") && !isReply(error, "UNBLOCKED")) throw error;
      await this.#connection.run("create the group", (client) => createGroup(client, this.keys.stream));
      return await operation();
    }
  }

  script(what: string, chosen: Script, keys: readonly string[], args: readonly ScriptArgument[]): Promise<ScriptReply> {
    return this.#connection.run(what, (client) => chosen(client, keys, args));
  }
}

const nothing = () => [];

/** The first and the last entry. An entry id is the server's clock in milliseconds, then a sequence. */
function ends(tokens: readonly Token[]): [first: string, last: string] {
  let first = tokens[0]!.entry;
  let last = first;
  for (const { entry } of tokens) {
    if (isBefore(entry, first)) first = entry;
    if (isBefore(last, entry)) last = entry;
  }
  return [first, last];
}

function isBefore(a: string, b: string): boolean {
  const [dashA, dashB] = [a.indexOf("-"), b.indexOf("-")];
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
