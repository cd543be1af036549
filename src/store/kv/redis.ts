/**
 * Kv on Redis 7.0 or later. A key is {NAMESPACE:KEY}, the claim to make its value {NAMESPACE:KEY}:claim: the braces keep both in one slot of a
 * cluster. Plain commands where one suffices, Lua where several must be one step. The
 * meaning of each operation is told in kv.ts, connection and deadlines in redis/connection.ts.
 */
import { isClusterUrl } from "../../std/redis_url.ts";
import { redisAt } from "../redis/access.ts";
import type { Operation, RedisAccess } from "../redis/connection.ts";
import { numberOf, type Script, script, type ScriptArgument, type ScriptReply } from "../redis/script.ts";
import type { HashChange, Kv, KvState, TokenRule, TokenVerdict } from "./kv.ts";
import { Local } from "./local.ts";

export interface RedisKvOptions {
  readonly namespace: string;
  readonly operationTimeoutMs: number;
  /** Bytes of what local() keeps. */
  readonly localBytesMax: number;
  readonly onState?: ((from: KvState, to: KvState, reason: string) => void) | undefined;
}

/** KEYS: key. ARGV: ttl in ms. The version is text: it may pass what a Redis integer reply carries safely. */
const incrementScript = script(`
local now = redis.call('TIME')
local clock = now[1] * 1000000 + now[2]
local before = tonumber(redis.call('GET', KEYS[1]) or '0')
local version = string.format('%.0f', math.max(clock, before + 1))
redis.call('SET', KEYS[1], version, 'PX', ARGV[1])
return version`);

/**
 * KEYS: hash. ARGV: ttl in ms, number of fields to set, then field and value of each, number of fields to delete, then these, then
 * field and value that the hash must have, if any.
 */
const hashWriteScript = script(`
local set = 2 + 2 * ARGV[2]
local deleted = set + 1 + ARGV[set + 1]
if #ARGV > deleted and redis.call('HGET', KEYS[1], ARGV[deleted + 1]) ~= ARGV[deleted + 2] then return 0 end
for i = 3, set, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
for i = set + 2, deleted do redis.call('HDEL', KEYS[1], ARGV[i]) end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1`);

/** KEYS: bucket. ARGV: max, per in ms. Returns 0, or the wait in ms. token_bucket.ts says the same in TypeScript. */
const takeTokenScript = script(`
local max, per = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local bucket = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens = max
if bucket[1] then tokens = math.min(max, tonumber(bucket[1]) + math.max(0, now - tonumber(bucket[2])) * max / per) end
local wait = 0
if tokens >= 1 then tokens = tokens - 1 else wait = math.ceil((1 - tokens) * per / max) end
redis.call('HSET', KEYS[1], 'tokens', tostring(tokens), 'at', now)
redis.call('PEXPIRE', KEYS[1], per)
return wait`);

/** KEYS: value, claim. ARGV: token, value, ttl in ms. */
const settleScript = script(`
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
redis.call('DEL', KEYS[2])
return 1`);

/** KEYS: value, claim. ARGV: token. */
const unclaimScript = script(`
if redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('DEL', KEYS[2]) end
return 1`);

/** KEYS: value, claim. ARGV: value, ttl in ms. */
const replaceScript = script(`
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('DEL', KEYS[2])
return 1`);

export class RedisKv implements Kv {
  readonly #redis: RedisAccess;
  readonly #namespace: string;
  readonly #url: string;
  readonly #options: RedisKvOptions;
  /** Forgets what this process itself changes before the change is acknowledged: it needs no word from the server for that. */
  #local: Local | undefined;

  constructor(url: string, options: RedisKvOptions) {
    this.#url = url;
    this.#options = options;
    this.#namespace = options.namespace;
    this.#redis = redisAt(url)({
      name: `${options.namespace}-kv`,
      onLostReply: "resend",
      operationTimeoutMs: options.operationTimeoutMs,
      onState: options.onState,
    });
  }

  get state(): KvState {
    return this.#redis.state;
  }

  get place(): string {
    return this.#redis.place;
  }

  get(key: string, budgetMs?: number): Promise<string | null> {
    return this.#redis.read(this.#name(key), budgetMs);
  }

  getMany(keys: readonly string[]): Promise<readonly (string | null)[]> {
    return Promise.all(keys.map((key) => this.get(key)));
  }

  async set(
    key: string,
    value: string,
    ttlMs: number,
    options?: { readonly onlyIfAbsent?: boolean },
  ): Promise<boolean> {
    const ttl = wholeMs(ttlMs);
    const reply = await this.#run("store a value", key, (client) => {
      const name = this.#name(key);
      return options?.onlyIfAbsent ? client.set(name, value, "PX", ttl, "NX") : client.set(name, value, "PX", ttl);
    });
    this.#local?.forget([key]);
    return reply === "OK";
  }

  async claim(key: string, claimMs: number): Promise<string | null> {
    const token = crypto.randomUUID();
    const reply = await this.#run("claim a value", key, (client) =>
      client.set(this.#claimName(key), token, "PX", wholeMs(claimMs), "NX"),
    );
    return reply === "OK" ? token : null;
  }

  async settle(key: string, claim: string, value: string, ttlMs: number): Promise<boolean> {
    const args = [claim, value, wholeMs(ttlMs)];
    const stored = await this.#claiming("settle a value", settleScript, key, args);
    this.#local?.forget([key]);
    return stored === 1;
  }

  async unclaim(key: string, claim: string): Promise<void> {
    await this.#claiming("give a claim back", unclaimScript, key, [claim]);
  }

  async replace(key: string, value: string, ttlMs: number): Promise<void> {
    await this.#claiming("replace a value", replaceScript, key, [value, wholeMs(ttlMs)]);
    this.#local?.forget([key]);
  }

  async delete(keys: readonly string[]): Promise<void> {
    await this.#redis.each("delete keys", this.#names(keys), (client, name) => client.unlink(name, claimOf(name)));
    this.#local?.forget(keys);
  }

  async expire(key: string, ttlMs: number): Promise<boolean> {
    const found = await this.#run("extend a key", key, (client) => client.pexpire(this.#name(key), wholeMs(ttlMs)));
    return found === 1;
  }

  async increment(key: string, ttlMs: number): Promise<string> {
    const version = await this.#script("move a version", incrementScript, key, [wholeMs(ttlMs)]);
    this.#local?.forget([key]);
    return String(version);
  }

  async hashGetAll(key: string): Promise<{ readonly [field: string]: string } | null> {
    const fields = await this.#run("read a hash", key, (client) => client.hgetall(this.#name(key)));
    return Object.keys(fields).length === 0 ? null : fields;
  }

  async hashWrite(key: string, change: HashChange, ttlMs: number): Promise<boolean> {
    return (await this.#script("write a hash", hashWriteScript, key, changeArguments(change, ttlMs))) === 1;
  }

  async takeToken(key: string, rule: TokenRule): Promise<TokenVerdict> {
    const waitMs = numberOf(await this.#script("take a token", takeTokenScript, key, [rule.max, wholeMs(rule.perMs)]));
    return waitMs === 0 ? { allowed: true } : { allowed: false, retryAfterMs: waitMs };
  }

  async ping(): Promise<void> {
    await this.#redis.everywhere("answer a ping", (client) => client.ping());
  }

  local(): Local | string {
    if (isClusterUrl(this.#url)) return "in a Cluster every server tells only of its own keys";
    const { namespace, operationTimeoutMs, localBytesMax } = this.#options;
    const nameOf = (key: string) => this.#name(key);
    return (this.#local ??= new Local(this.#url, {
      name: namespace,
      nameOf,
      operationTimeoutMs,
      bytesMax: localBytesMax,
    }));
  }

  close(): Promise<void> {
    this.#redis.close();
    this.#local?.close();
    return Promise.resolve();
  }

  #run<T>(what: string, key: string, operation: Operation<T>): Promise<T> {
    return this.#redis.run(what, this.#name(key), operation);
  }

  #script(what: string, chosen: Script, key: string, args: readonly ScriptArgument[]): Promise<ScriptReply> {
    return this.#run(what, key, (client) => chosen(client, [this.#name(key)], args));
  }

  /** Runs a script on a value and the claim to make it. */
  #claiming(what: string, chosen: Script, key: string, args: readonly ScriptArgument[]): Promise<ScriptReply> {
    return this.#run(what, key, (client) => chosen(client, [this.#name(key), this.#claimName(key)], args));
  }

  #name(key: string): string {
    return `{${this.#namespace}:${key}}`;
  }

  #names(keys: readonly string[]): readonly string[] {
    return keys.map((key) => this.#name(key));
  }

  #claimName(key: string): string {
    return claimOf(this.#name(key));
  }
}

function claimOf(name: string): string {
  return `${name}:claim`;
}

/** Redis takes whole milliseconds of at least one; anything less is a key that is gone already. */
function wholeMs(milliseconds: number): number {
  return Math.max(1, Math.ceil(milliseconds));
}

function changeArguments({ set = {}, delete: deleted = [], onlyIf }: HashChange, ttlMs: number): ScriptArgument[] {
  const fields = Object.entries(set);
  const condition = onlyIf === undefined ? [] : [onlyIf.field, onlyIf.value];
  return [wholeMs(ttlMs), fields.length, ...fields.flat(), deleted.length, ...deleted, ...condition];
}
