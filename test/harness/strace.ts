// Ends a process at a system call of its choice, so that a test reaches the moments between two steps that no message marks.

import { test } from "bun:test";

/** For `under`: killed as its main thread enters its `nth` (from 1) system call of this name. */
export function killedAt(call: string, nth: number): readonly string[] {
  return [...strace, ...kill(call, nth)];
}

/** For `under`: so is each that it starts, and it itself where it comes to that call at all. */
export function eachKilledAt(call: string, nth: number): readonly string[] {
  return [...strace, "-f", ...kill(call, nth)];
}

const strace = ["strace", "-D", "-qq", "-o", "/dev/null"];

function kill(call: string, nth: number): readonly string[] {
  return ["-e", `trace=${call}`, "-e", `inject=${call}:signal=KILL:when=${nth}`];
}

/** A test that needs strace; where it cannot watch a process the test is skipped, and its name says why. */
export function straceTest(name: string, body: () => Promise<void>): void {
  if (works()) test(name, body);
  else test.skip(`${name} (strace cannot watch a process here. Fix: apt-get install strace, and allow ptrace)`, body);
}

function works(): boolean {
  if (Bun.which("strace") === null) return false;
  return Bun.spawnSync(["strace", "-f", "-qq", "-o", "/dev/null", "true"]).exitCode === 0;
}
