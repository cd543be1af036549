/**
 * Kv in one SQLite file, for the processes of one machine. A row past its time is invisible at once and swept later, in bounded
 * batches. The meaning of each operation is told in kv.ts.
 */
import type { Database } from "bun:sqlite";

import { pathOfFileUrl, SqliteStore } from "../sqlite/database.ts";
import type { HashChange, Kv, KvState, TokenRule, TokenVerdict } from "./kv.ts";
import { type Bucket, takeFrom } from "./token_bucket.ts";

/** Hashes and buckets are JSON in `value`. */
const schema = `
CREATE TABLE IF NOT EXISTS kv (key TEXT PRIMARY KEY, value TEXT NOT NULL, expires_at INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS kv_expires_at ON kv (expires_at);
`;

const selectValue = "SELECT value FROM kv WHERE key = ?1 AND expires_at > ?2";
const upsert = `
INSERT INTO kv (key, value, expires_at) VALUES (?1, ?2, ?3)
ON CONFLICT (key) DO UPDATE SET value = excluded.value, expires_at = excluded.expires_at`;
const upsertUnlessLive = `${upsert} WHERE kv.expires_at <= ?4`;
const deleteKey = "DELETE FROM kv WHERE key = ?1";
const extend = "UPDATE kv SET expires_at = ?2 WHERE key = ?1 AND expires_at > ?3";
const sweep = "DELETE FROM kv WHERE key IN (SELECT key FROM kv WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)";

const sweepIntervalMs = 5_000;
const sweepRowsMax = 500;

type Fields = { [field: string]: string };

export class SqliteKv implements Kv {
  readonly #store: SqliteStore;
  readonly #prefix: string;
  readonly #sweeper: ReturnType<typeof setInterval>;

  constructor(url: string, options: { readonly namespace: string }) {
    this.#store = new SqliteStore(pathOfFileUrl(url), schema);
    this.#prefix = `${options.namespace}:`;
    this.#sweeper = setInterval(() => this.#sweep(), sweepIntervalMs);
    this.#sweeper.unref();
  }

  get state(): KvState {
    return this.#store.open ? "ready" : "closed";
  }

  get place(): string {
    return this.#store.path;
  }

  async get(key: string): Promise<string | null> {
    return this.#store.run("read a value", (database) => read(database, this.#name(key)));
  }

  async getMany(keys: readonly string[]): Promise<readonly (string | null)[]> {
    return this.#store.run("read values", (database) => keys.map((key) => read(database, this.#name(key))));
  }

  async set(
    key: string,
    value: string,
    ttlMs: number,
    options?: { readonly onlyIfAbsent?: boolean },
  ): Promise<boolean> {
    const now = Date.now();
    return this.#store.run("store a value", (database) => {
      if (!options?.onlyIfAbsent) return write(database, this.#name(key), value, ttlMs);
      return database.query(upsertUnlessLive).run(this.#name(key), value, now + ttlMs, now).changes > 0;
    });
  }

  async claim(key: string, claimMs: number): Promise<string | null> {
    return this.#store.transaction("claim a value", (database) => {
      const name = this.#claimName(key);
      if (read(database, name) !== null) return null;
      const claim = crypto.randomUUID();
      write(database, name, claim, claimMs);
      return claim;
    });
  }

  async settle(key: string, claim: string, value: string, ttlMs: number): Promise<boolean> {
    return this.#store.transaction("settle a value", (database) => {
      if (read(database, this.#claimName(key)) !== claim) return false;
      database.query(deleteKey).run(this.#claimName(key));
      return write(database, this.#name(key), value, ttlMs);
    });
  }

  async unclaim(key: string, claim: string): Promise<void> {
    this.#store.transaction("give a claim back", (database) => {
      if (read(database, this.#claimName(key)) === claim) database.query(deleteKey).run(this.#claimName(key));
    });
  }

  async replace(key: string, value: string, ttlMs: number): Promise<void> {
    this.#store.transaction("replace a value", (database) => {
      database.query(deleteKey).run(this.#claimName(key));
      write(database, this.#name(key), value, ttlMs);
    });
  }

  async delete(keys: readonly string[]): Promise<void> {
    this.#store.transaction("delete keys", (database) => {
      for (const name of keys.flatMap((key) => [this.#name(key), this.#claimName(key)]))
        database.query(deleteKey).run(name);
    });
  }

  async expire(key: string, ttlMs: number): Promise<boolean> {
    const now = Date.now();
    return this.#store.run(
      "extend a key",
      (database) => database.query(extend).run(this.#name(key), now + ttlMs, now).changes > 0,
    );
  }

  async increment(key: string, ttlMs: number): Promise<string> {
    return this.#store.transaction("move a version", (database) => {
      const before = Number(read(database, this.#name(key)) ?? 0);
      const version = String(Math.max(clockMicroseconds(), before + 1));
      write(database, this.#name(key), version, ttlMs);
      return version;
    });
  }

  async hashGetAll(key: string): Promise<{ readonly [field: string]: string } | null> {
    return this.#store.run("read a hash", (database) => readFields(database, this.#name(key)));
  }

  async hashWrite(key: string, change: HashChange, ttlMs: number): Promise<boolean> {
    return this.#store.transaction("write a hash", (database) => {
      const fields = readFields(database, this.#name(key));
      if (change.onlyIf && fields?.[change.onlyIf.field] !== change.onlyIf.value) return false;
      return writeFields(database, this.#name(key), changed(fields, change), ttlMs);
    });
  }

  async takeToken(key: string, rule: TokenRule): Promise<TokenVerdict> {
    return this.#store.transaction("take a token", (database) => {
      const stored = read(database, this.#name(key));
      const { bucket, verdict } = takeFrom(stored === null ? null : (JSON.parse(stored) as Bucket), rule, Date.now());
      write(database, this.#name(key), JSON.stringify(bucket), rule.perMs);
      return verdict;
    });
  }

  async ping(): Promise<void> {
    this.#store.run("answer a ping", (database) => database.query("SELECT 1").get());
  }

  local(): string {
    return "a file does not tell other processes what has changed in it";
  }

  async close(): Promise<void> {
    clearInterval(this.#sweeper);
    this.#store.close();
  }

  /** A file that is locked or full now is swept in five seconds; readers see no expired row meanwhile. */
  #sweep(): void {
    try {
      const swept = this.#store.run("sweep", (database) => database.query(sweep).run(Date.now(), sweepRowsMax).changes);
      if (swept === sweepRowsMax) setTimeout(() => this.#store.open && this.#sweep(), 10).unref();
    } catch {
      return;
    }
  }

  #name(key: string): string {
    return this.#prefix + key;
  }

  /** No key of a value begins like this. */
  #claimName(key: string): string {
    return `\u0000claim ${this.#prefix}${key}`;
  }
}

/** Finer than Date.now(): a key deleted and made again within one millisecond must not repeat a version. */
function clockMicroseconds(): number {
  return Math.floor((performance.timeOrigin + performance.now()) * 1_000);
}

function read(database: Database, name: string): string | null {
  return database.query<{ value: string }, [string, number]>(selectValue).get(name, Date.now())?.value ?? null;
}

function write(database: Database, name: string, value: string, ttlMs: number): true {
  database.query(upsert).run(name, value, Date.now() + Math.ceil(ttlMs));
  return true;
}

function readFields(database: Database, name: string): Fields | null {
  const stored = read(database, name);
  return stored === null ? null : (JSON.parse(stored) as Fields);
}

function writeFields(database: Database, name: string, fields: Fields, ttlMs: number): true {
  if (Object.keys(fields).length > 0) return write(database, name, JSON.stringify(fields), ttlMs);
  database.query(deleteKey).run(name);
  return true;
}

function changed(fields: Fields | null, change: HashChange): Fields {
  const dropped = new Set(change.delete);
  return Object.fromEntries(Object.entries({ ...fields, ...change.set }).filter(([field]) => !dropped.has(field)));
}
