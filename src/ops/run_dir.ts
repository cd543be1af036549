/**
 * Where a running process leaves its addresses: one JSON file in --run-dir, removed when it stops. Several processes of a role are one
 * here too: the supervisor's.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import type { Config } from "../config/options.ts";
import { isAlive } from "../io/alive.ts";
import { messageOf } from "../std/errors.ts";
import { log } from "./log.ts";

/** What others may know of a process. Nothing secret: the file is for people and tools of this machine. */
export interface Presence {
  readonly pid: number;
  readonly role: string;
  readonly instance?: string | undefined;
  /** HOST:PORT of the service; absent where the role has none. */
  readonly listen?: string | undefined;
  readonly admin?: string | undefined;
  /** Path of the socket for orders; of a balancer only. */
  readonly control?: string | undefined;
}

/** Writes ROLE-PID.json and returns what removes it. A directory that cannot be written is a warning: serving matters more. */
export function announce(
  { runDir: directory, child }: Pick<Config, "runDir" | "child">,
  presence: Presence,
): () => void {
  if (child !== undefined) return () => undefined;
  const file = join(directory, `${presence.role}-${presence.pid}.json`);
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    sweep(directory);
    writeFileSync(file, `${JSON.stringify(presence)}\n`, { mode: 0o600 });
  } catch (error) {
    log.warn(
      { directory },
      `cannot write the run directory: ${messageOf(error)}. Fix: --run-dir=DIR that this user can write`,
    );
    return () => undefined;
  }
  return () => rmSync(file, { force: true });
}

/** The processes of a role that run now; none where there is no directory. */
export function running(directory: string, role: string): readonly Presence[] {
  let names: readonly string[];
  try {
    names = readdirSync(directory);
  } catch {
    return [];
  }
  return names
    .filter((name) => name.startsWith(`${role}-`) && name.endsWith(".json") && isAlive(pidOf(name)))
    .flatMap((name) => read(join(directory, name)) ?? []);
}

/** Undefined for one that is just being written, or was removed since it was listed. */
function read(file: string): Presence | undefined {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Presence;
  } catch {
    return undefined;
  }
}

/** Removes files of processes that died without doing so. */
function sweep(directory: string): void {
  for (const name of readdirSync(directory)) {
    const pid = pidOf(name);
    if (pid > 0 && !isAlive(pid)) rmSync(join(directory, name), { force: true });
  }
}

/** Of ROLE-PID.json and of a socket ROLE-PID.sock; NaN for what is neither. */
function pidOf(name: string): number {
  return Number(/^[a-z]+-(\d+)\.(?:json|sock)$/.exec(name)?.[1] ?? Number.NaN);
}
