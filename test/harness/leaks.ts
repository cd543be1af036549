// What a test must not leave behind: processes, and connections to processes that are gone. preload.ts asks after every test.
// Invariant: whatever a test leaves is ended here before its failure is reported, so that the next test starts clean.

import { rmSync } from "node:fs";

import { commandOf, connectionsOf, processesBy } from "./proc.ts";

/** Every process the harness starts, and what that starts, carries this variable; its value tells which test process it belongs to. */
export const mark = "HARNESS_PROCESS";

/** Until when a process may run: started within a test, to its end; otherwise, to the end of the file. */
export type Scope = "test" | "file";

export interface Owned {
  /** Of `mark`. */
  readonly value: string;
  readonly scope: Scope;
  readonly startedBy: string;
  /** Ports it listens on. */
  readonly ports: Set<number>;
  /** Directories that are of no use without it. */
  readonly directories: string[];
}

const owned = new Map<string, Owned>();
let scope: Scope = "file";
let started = 0;

export function testBegins(): void {
  scope = "test";
}

export function testEnds(): void {
  scope = "file";
  failOn([...owned.values()].filter((one) => one.scope === "test"));
}

export function fileEnds(): void {
  failOn([...owned.values()]);
}

/** The scope of what is started now. */
export function currentScope(): Scope {
  return scope;
}

/** Registers a process about to be started; the value goes into its environment under `mark`. */
export function own(startedBy: string, until: Scope = scope): Owned {
  const value = `${process.pid}-${++started}`;
  const one = { value, scope: until, startedBy, ports: new Set<number>(), directories: [] };
  owned.set(value, one);
  return one;
}

/** Process ids of what is still running of it. */
export function survivors(value: string): readonly number[] {
  return processesBy(mark).get(value) ?? [];
}

function failOn(those: readonly Owned[]): void {
  if (those.length === 0) return;
  const complaints = [...endProcesses(those), ...connectionsLeft(those)];
  for (const { value, directories } of those) {
    owned.delete(value);
    for (const directory of directories) rmSync(directory, { recursive: true, force: true });
  }
  if (complaints.length > 0) throw new Error(`left behind:\n  ${complaints.join("\n  ")}`);
}

function endProcesses(those: readonly Owned[]): string[] {
  const running = processesBy(mark);
  return those.flatMap(({ value, startedBy }) =>
    (running.get(value) ?? []).map((pid) => {
      const complaint = `process ${pid} ${commandOf(pid)} (started by: ${startedBy}). Fix: await using, or stop() it`;
      end(pid);
      return complaint;
    }),
  );
}

// The other end has closed and this end has not: a socket that the test opened and forgot.
function connectionsLeft(those: readonly Owned[]): string[] {
  const halfClosed = connectionsOf(process.pid).filter((connection) => connection.state === "close_wait");
  return halfClosed.flatMap(({ remotePort }) =>
    those
      .filter(({ ports }) => ports.has(remotePort))
      .map(({ startedBy }) => `connection to port ${remotePort} (of: ${startedBy}). Fix: end() the socket`),
  );
}

function end(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has just ended by itself; it was there after its test all the same.
  }
}
