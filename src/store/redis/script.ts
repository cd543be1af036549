/** A Lua script and how it is called: by its hash, with its text only where the server does not know it. What scripts do is not here. */
import type { Redis } from "ioredis";

import { isReply } from "./connection.ts";

export type ScriptArgument = string | number;

/** A reply as Lua can form one: no maps, no floats, no integer beyond 2^53 (ids are strings). */
export type ScriptReply = string | number | null | readonly ScriptReply[];

export type Script = (client: Redis, keys: readonly string[], args: readonly ScriptArgument[]) => Promise<ScriptReply>;

/** Scripts run atomically, and all their keys share one hash tag where there are several. */
export function script(lua: string): Script {
  const sha = new Bun.CryptoHasher("sha1").update(lua).digest("hex");
  return async (client, keys, args) => {
    try {
      return (await client.evalsha(sha, keys.length, ...keys, ...args)) as ScriptReply;
    } catch (error) {
      if (!isReply(error, "NOSCRIPT")) throw error;
      // Not EVAL: a server of a Cluster to which the keys are still on their way would refuse it, and so never learn the script.
      client.script("LOAD", lua).catch(() => undefined);
      return (await client.evalsha(sha, keys.length, ...keys, ...args)) as ScriptReply;
    }
  };
}

/**
 * A script whose ARGV, all of it texts, is sent as one argument of JSON: a command costs its driver, and the server, by the number of its
 * arguments. For those that are told a lot of many jobs at once.
 */
export function packed(lua: string): Script {
  const unpacking = script(`local ARGV = cjson.decode(ARGV[1])\n${lua}`);
  return (client, keys, args) => unpacking(client, keys, [textOfAll(args.map(String))]);
}

/** Half a pair of surrogates, which UTF-8 cannot carry and the server's decoder refuses, is replaced as in any other argument. */
function textOfAll(args: readonly string[]): string {
  const text = JSON.stringify(args);
  return text.includes("\\ud") ? JSON.stringify(args.map((one) => one.toWellFormed())) : text;
}

/** A reply that must be a list. */
export function listOf(reply: ScriptReply | undefined): readonly ScriptReply[] {
  if (Array.isArray(reply)) return reply as readonly ScriptReply[];
  throw new TypeError(`expected a list from Redis, got ${JSON.stringify(reply)}`);
}

/** A reply that must be a list of texts. */
export function textsOf(reply: ScriptReply | undefined): readonly string[] {
  return listOf(reply).map(textOf);
}

export function textOf(reply: ScriptReply | undefined): string {
  if (typeof reply === "string") return reply;
  throw new TypeError(`expected text from Redis, got ${JSON.stringify(reply)}`);
}

export function numberOf(reply: ScriptReply | undefined): number {
  const value = typeof reply === "string" ? Number(reply) : reply;
  if (typeof value === "number" && Number.isSafeInteger(value)) return value;
  throw new TypeError(`expected a number from Redis, got ${JSON.stringify(reply)}`);
}
