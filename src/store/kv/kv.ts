/**
 * What scale keeps outside the database and may lose: cache entries, sessions, limits, the registry. One interface, two drivers
 * (redis.ts, sqlite.ts), one contract suite (test/contract/kv.test.ts).
 *
 * Invariants: every key lives in the namespace and has a time to live; every operation settles within its timeout and fails with
 * ScaleError store_unavailable; every operation is atomic for each key. What the values mean is not here: that is the runtime's.
 */

import type { Local } from "./local.ts";

/** Field-level changes of a hash. Fields that are not named stay as they are. */
export interface HashChange {
  readonly set?: { readonly [field: string]: string };
  readonly delete?: readonly string[];
  /** Do nothing unless this field has this value: so that one request neither brings back nor overwrites what another one ended. */
  readonly onlyIf?: { readonly field: string; readonly value: string };
}

export interface TokenRule {
  /** Size of the bucket, and tokens added during `perMs`. At least 1. */
  readonly max: number;
  readonly perMs: number;
}

export type TokenVerdict = { readonly allowed: true } | { readonly allowed: false; readonly retryAfterMs: number };

export type KvState = "connecting" | "ready" | "down" | "closed";

export interface Kv {
  readonly state: KvState;
  /** Where it is kept, for people; never a password. */
  readonly place: string;

  /** With `budgetMs` it fails after those already, where a store can let one wait at all. */
  get(key: string, budgetMs?: number): Promise<string | null>;
  /** In the order of the keys; null where there is none. Not one atomic look. */
  getMany(keys: readonly string[]): Promise<readonly (string | null)[]>;
  /** With `onlyIfAbsent`, false where the key existed and was left alone. */
  set(key: string, value: string, ttlMs: number, options?: { readonly onlyIfAbsent?: boolean }): Promise<boolean>;
  /**
   * The claim to make a value, which one caller has at a time and for `claimMs`; null while somebody else has it. It ends early when
   * the value is settled, replaced or deleted: so what was made before that is not stored after it.
   */
  claim(key: string, claimMs: number): Promise<string | null>;
  /** Stores the value that the claim was for. False, and nothing stored, where the claim has ended. */
  settle(key: string, claim: string, value: string, ttlMs: number): Promise<boolean>;
  /** Gives a claim back: the next who asks gets it. */
  unclaim(key: string, claim: string): Promise<void>;
  /** Stores a value and ends the claim to make it. */
  replace(key: string, value: string, ttlMs: number): Promise<void>;
  /** Deletes values and hashes alike, and ends claims. */
  delete(keys: readonly string[]): Promise<void>;
  /** Starts the time to live again. False where there is no such key. */
  expire(key: string, ttlMs: number): Promise<boolean>;

  /**
   * Moves a version forward and returns it. A version never repeats, even after it expired or was evicted in between: it is the
   * store's clock in microseconds, or one more than before. So a missing version means "unknown", never "unchanged".
   */
  increment(key: string, ttlMs: number): Promise<string>;

  /** All fields, or null where there is no such hash. A hash without fields does not exist. */
  hashGetAll(key: string): Promise<{ readonly [field: string]: string } | null>;
  /** Applies a change at once and starts the time to live again. False where `onlyIf` stopped it. */
  hashWrite(key: string, change: HashChange, ttlMs: number): Promise<boolean>;

  /** Takes a token from the bucket of that key; a new bucket is full. */
  takeToken(key: string, rule: TokenRule): Promise<TokenVerdict>;

  /** What this process keeps of values it has read, and is told the changes of; or why it keeps nothing. Opened at the first call. */
  local(): Local | string;

  ping(): Promise<void>;
  /** Idempotent. */
  close(): Promise<void>;
}
