// What a test must not leave behind: processes, and connections to processes that are gone. preload.ts asks after every test.
// Invariant: whatever a test leaves is ended here before its failure is reported, so that the next test starts clean.

import { commandOf, connectionsOf, processesWith } from "./proc.ts";

/** Every process the harness starts, and what that starts, carries this variable; its value tells which test process it belongs to. */
export const mark = "HARNESS_PROCESS";

export /** Until when a process may run: started within a test, to its end; otherwise, to the end of the file. */
type Scope = "test" | "file";

export interface Owned {
  readonly value: string;
  readonly scope: Scope;
  readonly startedBy: string;
  readonly ports: Set<number>;
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
  const one = { value, scope: until, startedBy, ports: new Set<number>() };
  owned.set(value, one);
  return one;
}

/** What is still running of it, as command lines. */
export function survivors(value: string): readonly string[] {
  return processesWith(mark, value).map((pid) => `${pid} ${commandOf(pid)}`);
}

function failOn(those: readonly Owned[]): void {
  const complaints = those.flatMap((one) => [...endProcesses(one), ...connectionsLeft(one)]);
  for (const one of those) owned.delete(one.value);
  if (complaints.length > 0) throw new Error(`left behind:\n  ${complaints.join("\n  ")}`);
}

function endProcesses({ value, startedBy }: Owned): string[] {
  return processesWith(mark, value).map((pid) => {
    const complaint = `process ${pid} ${commandOf(pid)} (started by: ${startedBy}). Fix: await using, or stop() it`;
    process.kill(pid, "SIGKILL");
    return complaint;
  });
}

// The other end has closed and this end has not: a socket that the test opened and forgot.
function connectionsLeft({ ports, startedBy }: Owned): string[] {
  return connectionsOf(process.pid)
    .filter((connection) => connection.state === "close_wait" && ports.has(connection.remotePort))
    .map(({ remotePort }) => `connection to port ${remotePort} (of: ${startedBy}). Fix: end() the socket`);
}
