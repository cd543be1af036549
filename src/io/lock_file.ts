/**
 * One process at a time in a directory: two on one database lose data silently. The kernel keeps the lock (SQLite takes it on an empty
 * file), so it cannot outlive its holder, whatever killed it, and holds between containers that share the directory. Beside it lies
 * who holds it, by process id and start time: a process id alone may have been given to someone else since.
 */
import { Database } from "bun:sqlite";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

import { messageOf, ScaleError } from "../std/errors.ts";

export interface DirectoryLock {
  /** Idempotent. */
  release(): void;
}

interface Holder {
  readonly pid: number;
  /** Clock ticks from the machine's start to the process's, as /proc says it; absent where there is no /proc. */
  readonly startTicks: string | undefined;
  readonly since: string;
}

/** A database that nobody refers to is closed by the garbage collector, and its lock with it. */
const held = new Set<Database>();

/** Creates the directory if need be and locks it. Throws directory_locked, naming the process that holds it. */
export function lockDirectory(directory: string): DirectoryLock {
  const path = resolve(directory);
  mkdirSync(path, { recursive: true, mode: 0o700 });
  const holderFile = join(path, "lock.json");
  const database = take(path, holderFile);
  const holder: Holder = { pid: process.pid, startTicks: startTicksOf(process.pid), since: new Date().toISOString() };
  writeFileSync(holderFile, JSON.stringify(holder));
  held.add(database);
  return {
    release() {
      if (!held.delete(database)) return;
      rmSync(holderFile, { force: true });
      database.close();
    },
  };
}

function take(path: string, holderFile: string): Database {
  const database = new Database(join(path, "lock"));
  try {
    database.run("BEGIN EXCLUSIVE");
    return database;
  } catch (error) {
    database.close();
    if ((error as { code?: string }).code !== "SQLITE_BUSY") throw error;
    throw new ScaleError("directory_locked", `${path} is in use by ${describe(holderFile)}`, {
      hint: "stop that process, or give this one a directory of its own with --data-dir",
      cause: messageOf(error),
    });
  }
}

function describe(holderFile: string): string {
  const holder = readHolder(holderFile);
  const alive = holder !== undefined && startTicksOf(holder.pid) === holder.startTicks;
  return alive ? `process ${holder.pid}, since ${holder.since}` : "another process, perhaps in another container";
}

function readHolder(file: string): Holder | undefined {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Holder;
  } catch {
    return undefined;
  }
}

/** Field 22 of /proc/PID/stat (proc(5)). The second field is the program's name, which may hold spaces and parentheses. */
function startTicksOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  } catch {
    return undefined;
  }
}
