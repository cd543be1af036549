/**
 * What a Redis user (ACL) must be allowed to do, as commands that the server itself is asked about without any of them being run. Pure;
 * who asks is redis.ts. What is sent is store/kv/redis.ts and store/queue: a test holds these lists against them.
 */

import { trackingRights } from "../../store/kv/local.ts";

/** What a store is used for. "local" is what cache.get with `local` needs besides. */
export type Use = "cache" | "local" | "queue";

/** KEY is a key of ours. */
const keyOfOurs = "KEY";

const connecting = ["PING", "INFO", "SCRIPT LOAD", "EVALSHA", "TIME"];

const commands: { readonly [U in Use]: readonly string[] } = {
  cache: [
    ...connecting,
    ...onKey("GET", "MGET", "SET", "DEL", "UNLINK", "PEXPIRE", "HGET", "HSET", "HDEL", "HMGET", "HGETALL"),
  ],
  local: ["CLIENT ID", "CLIENT TRACKING", "SUBSCRIBE __redis__:invalidate"],
  queue: [
    ...connecting,
    "CLIENT ID",
    "CLIENT UNBLOCK",
    "WAIT",
    ...onKey("GET", "SET", "DEL", "INCR", "EXISTS", "PEXPIRE", "SADD", "SMEMBERS"),
    ...onKey("HGET", "HSET", "HSETNX", "HDEL", "HMGET", "HGETALL", "HKEYS", "HLEN", "HEXISTS", "HINCRBY", "HSCAN"),
    ...onKey("ZADD", "ZCARD", "ZCOUNT", "ZRANGE", "ZREVRANGE", "ZREM", "ZREMRANGEBYRANK", "ZSCORE"),
    ...onKey("XADD", "XACK", "XDEL", "XLEN", "XRANGE", "XPENDING", "XCLAIM", "XAUTOCLAIM"),
    ...onKey("XGROUP CREATE", "XGROUP DELCONSUMER", "XINFO STREAM", "XINFO GROUPS", "XINFO CONSUMERS"),
    `XREADGROUP GROUP ours one STREAMS ${keyOfOurs} >`,
  ],
};

function onKey(...names: readonly string[]): readonly string[] {
  return names.map((name) => `${name} ${keyOfOurs}`);
}

/** Each once, for several uses. */
export function commandsFor(uses: readonly Use[]): readonly string[] {
  return [...new Set(uses.flatMap((use) => commands[use]))];
}

/** The command's words, on a key of this namespace. */
export function wordsOf(command: string, namespace: string): readonly string[] {
  return command.split(" ").map((word) => (word === keyOfOurs ? `{${namespace}:q:doctor}:stream` : word));
}

/** Findings for a user who is refused some of `commandsFor(uses)`. */
export function rightsFindings(
  refused: readonly string[],
  uses: readonly Use[],
  { user, namespace }: { readonly user: string; readonly namespace: string },
): readonly string[] {
  const isRefused = new Set(refused);
  const findings: string[] = [];
  const needed = commandsFor(uses.filter((use) => use !== "local"));
  const missing = needed.filter((command) => isRefused.has(command));
  const keyed = needed.filter((command) => command.includes(keyOfOurs));
  if (missing.length > 0 && keyed.every((command) => isRefused.has(command))) {
    findings.push(
      `its user ${user} may not touch our keys: all begin with {${namespace}:\n  Fix: ACL SETUSER ${user} '~{${namespace}:*'`,
    );
  } else if (missing.length > 0) {
    findings.push(
      `its user ${user} may not run ${missing.map(nameOf).join(", ")}\n  Fix: ACL SETUSER ${user} ${missing.map(grantOf).join(" ")}`,
    );
  }
  if (uses.includes("local") && commands.local.some((command) => isRefused.has(command))) {
    findings.push(
      `its user ${user} may not be told of changes, so that cache.get with local keeps nothing in a process\n` +
        `  Fix: ACL SETUSER ${user} ${trackingRights}`,
    );
  }
  return findings;
}

/** XGROUP CREATE of "XGROUP CREATE KEY", and XREADGROUP of what has more words than a name. */
function nameOf(command: string): string {
  const [first = "", second = ""] = command.split(" ");
  return /^(CLIENT|SCRIPT|XGROUP|XINFO)$/.test(first) ? `${first} ${second}` : first;
}

function grantOf(command: string): string {
  return `+${nameOf(command).toLowerCase().replace(" ", "|")}`;
}
