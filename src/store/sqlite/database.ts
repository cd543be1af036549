/**
 * One SQLite file shared by the processes of one machine: WAL, so that readers never wait for the writer, and a bounded wait for the
 * one writer. Schemas and statements belong to the drivers, kv/sqlite.ts and queue/sqlite.ts.
 *
 * synchronous=NORMAL: a process that dies loses nothing; a power cut may lose the last moments, never the file's consistency.
 */
import { Database } from "bun:sqlite";
import { closeSync, mkdirSync, openSync } from "node:fs";
import { dirname } from "node:path";

import { messageOf, ScaleError } from "../../std/errors.ts";

/** Longest wait for the lock of another process. Transactions here take microseconds; this is for a machine that swaps. */
const busyTimeoutMs = 2_000;
/** Pause before a new file is asked for WAL again. */
const walPauseMs = 5;
const walBytesMax = 16 * 1024 * 1024;

/** The path of file:PATH. */
export function pathOfFileUrl(url: string): string {
  const path = url.replace(/^file:(\/\/(?=\/))?/, "");
  if (path !== "" && !path.startsWith("//")) return path;
  throw new ScaleError("configuration_invalid", `a store's URL is "${url}", expected file:PATH`, {
    hint: "write file:data/scale.db or file:/var/lib/scale/scale.db",
  });
}

/** A column that a table did not have from the beginning. */
export interface LaterColumn {
  readonly table: string;
  readonly name: string;
  /** Type, default and what else stands behind the name. */
  readonly definition: string;
}

export class SqliteStore {
  readonly #database: Database;
  readonly path: string;
  #open = true;

  /**
   * Opens or creates the file and brings it to `schema`, whose statements can be repeated (IF NOT EXISTS), then to `columns`: what
   * tables have got since, so that a file of an earlier version is brought along, and to `laterSchema`, which stands on those.
   */
  constructor(path: string, schema: string, columns: readonly LaterColumn[] = [], laterSchema = "") {
    this.path = path;
    this.#database = this.#create(path);
    this.#database.run(`PRAGMA busy_timeout = ${busyTimeoutMs}`);
    this.run("open the file", (database) => {
      switchToWal(database);
      database.run("PRAGMA synchronous = NORMAL");
      database.run(`PRAGMA journal_size_limit = ${walBytesMax}`);
      const bringUp = () => {
        database.run(schema);
        for (const column of columns) addColumn(database, column);
        if (laterSchema !== "") database.run(laterSchema);
      };
      database.transaction(bringUp).immediate();
    });
  }

  #create(path: string): Database {
    try {
      mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
      createPrivately(path);
      return new Database(path, { create: true, strict: true });
    } catch (error) {
      throw this.#unavailable("create the file", messageOf(error), error);
    }
  }

  get open(): boolean {
    return this.#open;
  }

  /** Runs one operation; every failure is a ScaleError that says where and what. `what` is the operation's name. */
  run<T>(what: string, operation: (database: Database) => T): T {
    if (!this.#open) throw this.#unavailable(what, "it is closed");
    try {
      return operation(this.#database);
    } catch (error) {
      if (error instanceof ScaleError) throw error;
      throw this.#unavailable(what, messageOf(error), error);
    }
  }

  /** Runs several statements as one step. IMMEDIATE: a transaction that reads first could not get the write lock later. */
  transaction<T>(what: string, operation: (database: Database) => T): T {
    return this.run(what, (database) => database.transaction(() => operation(database)).immediate());
  }

  /** Idempotent. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#database.close();
  }

  #unavailable(what: string, reason: string, cause?: unknown): ScaleError {
    return new ScaleError("store_unavailable", `SQLite file ${this.path} could not ${what}: ${reason}`, {
      cause,
      hint: "check that the directory is writable, on a local disk and not full",
    });
  }
}

/**
 * Of processes that open a new file at the same moment one makes it WAL. SQLite refuses the others at once, busy_timeout or not, while
 * that one writes: waiting with their read lock they could block it for ever (sqlite3_busy_handler). Asked again, they find it done.
 */
function switchToWal(database: Database): void {
  const deadline = performance.now() + busyTimeoutMs;
  for (;;) {
    try {
      database.run("PRAGMA journal_mode = WAL");
      return;
    } catch (error) {
      if ((error as { code?: string }).code !== "SQLITE_BUSY" || performance.now() > deadline) throw error;
      Bun.sleepSync(walPauseMs);
    }
  }
}

function addColumn(database: Database, { table, name, definition }: LaterColumn): void {
  const columns = database.query<{ name: string }, []>(`PRAGMA table_info(${table})`).all();
  if (!columns.some((column) => column.name === name)) {
    database.run(`ALTER TABLE ${table} ADD COLUMN ${name} ${definition}`);
  }
}

/**
 * Sessions and payloads are nobody else's to read; SQLite gives its files beside it the same mode. A file that is there is not even
 * opened: closing it again would drop the locks this process holds on it (fcntl(2)).
 */
function createPrivately(path: string): void {
  try {
    closeSync(openSync(path, "wx", 0o600));
  } catch (error) {
    if ((error as { code?: string }).code !== "EEXIST") throw error;
  }
}
