// What /proc says of other processes: who carries a mark in its environment, and which TCP connections a process holds.
// Invariant: read-only; a process that ends while it is being read counts as gone.

import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** A TCP connection of a process, both ends as ports of this machine's view. */
export interface Connection {
  readonly localPort: number;
  readonly remotePort: number;
  readonly state: "established" | "close_wait" | "other";
}

/**
 * Values of the variable `name` → processes, zombies aside, that have it in their environment and started after this one: those that
 * did before are none of ours, and reading the environment of one that is being traced can block.
 */
export function processesBy(name: string): ReadonlyMap<string, readonly number[]> {
  const since = startTicks(process.pid);
  const found = new Map<string, number[]>();
  for (const pid of list("/proc").map(Number)) {
    if (!(pid > 0) || startTicks(pid) < since || isZombie(pid)) continue;
    const variable = read(`/proc/${pid}/environ`)
      .split("\0")
      .find((one) => one.startsWith(`${name}=`));
    if (variable === undefined) continue;
    const value = variable.slice(name.length + 1);
    found.set(value, [...(found.get(value) ?? []), pid]);
  }
  return found;
}

/**
 * Stops a process and all it has started, until the function that this returns is called. The parent first and last: while it is stopped, a
 * child that ends stays a zombie, whose number can still be signalled.
 */
export function freeze(pid: number): () => void {
  process.kill(pid, "SIGSTOP");
  const children = childrenOf(pid);
  for (const child of children) process.kill(child, "SIGSTOP");
  return () => {
    for (const child of children) process.kill(child, "SIGCONT");
    process.kill(pid, "SIGCONT");
  };
}

/** The command line of a process, for messages. */
export function commandOf(pid: number): string {
  return read(`/proc/${pid}/cmdline`).replaceAll("\0", " ").trim();
}

/** Process ids of what its main thread has started and not waited for: the backends of a PostgreSQL, for one. */
export function childrenOf(pid: number): readonly number[] {
  const text = read(`/proc/${pid}/task/${pid}/children`).trim();
  return text === "" ? [] : text.split(" ").map(Number);
}

/** Zombies are not. */
export function isRunning(pid: number): boolean {
  const state = statFields(pid)[0];
  return state !== undefined && state !== "" && state !== "Z";
}

/** CPU seconds, user and kernel, that a process has used so far. */
export function cpuSeconds(pid: number): number {
  const fields = statFields(pid);
  const ticksPerSecond = 100;
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

/** Memory of a process that is in RAM now, what it shares with others included. */
export function residentBytes(pid: number): number {
  const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(read(`/proc/${pid}/status`))?.[1];
  return Number(kibibytes ?? 0) * 1024;
}

/** TCP connections that a process holds open now; listeners aside. */
export function connectionsOf(pid: number): readonly Connection[] {
  const held = socketInodes(pid);
  return [...table(pid, "tcp"), ...table(pid, "tcp6")]
    .filter((row) => held.has(row.inode))
    .map((row) => row.connection);
}

// The fields after "pid (command) ", of which the command may hold spaces and parentheses: proc(5), /proc/pid/stat.
function statFields(pid: number): string[] {
  const stat = read(`/proc/${pid}/stat`);
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
}

function startTicks(pid: number): number {
  return Number(statFields(pid)[19] ?? 0);
}

function isZombie(pid: number): boolean {
  return statFields(pid)[0] === "Z";
}

function socketInodes(pid: number): Set<string> {
  const links = list(`/proc/${pid}/fd`).map((descriptor) => link(`/proc/${pid}/fd/${descriptor}`));
  return new Set(links.flatMap((target) => /^socket:\[(\d+)\]$/.exec(target)?.[1] ?? []));
}

const states: { readonly [hex: string]: Connection["state"] } = { "01": "established", "08": "close_wait" };
const listening = "0A";

// Columns: sl local_address rem_address st … inode, addresses as HEX:HEX.
function table(pid: number, family: "tcp" | "tcp6"): { inode: string; connection: Connection }[] {
  const rows = read(`/proc/${pid}/net/${family}`).split("\n").slice(1, -1);
  return rows
    .map((row) => row.trim().split(/\s+/))
    .filter((columns) => columns[3] !== listening)
    .map((columns) => ({
      inode: columns[9] ?? "",
      connection: {
        localPort: port(columns[1]),
        remotePort: port(columns[2]),
        state: states[columns[3] ?? ""] ?? "other",
      },
    }));
}

function port(address: string | undefined): number {
  return Number.parseInt(address?.split(":")[1] ?? "", 16);
}

function read(path: string): string {
  return orElse(() => readFileSync(path, "utf8"), "");
}

function list(path: string): string[] {
  return orElse(() => readdirSync(path), []);
}

function link(path: string): string {
  return orElse(() => readlinkSync(path), "");
}

/** What is gone by the time it is read was there a moment ago: no failure. */
function orElse<T>(look: () => T, gone: T): T {
  try {
    return look();
  } catch {
    return gone;
  }
}
