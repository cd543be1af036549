// What a working side notes of its jobs: when the first began, and how long each had been waiting. The bench reads the file it leaves.

import { writeFileSync } from "node:fs";

export interface Noted {
  readonly firstAt: number;
  /** Milliseconds from enqueue to start of each job that said when it was enqueued. */
  readonly waitsMs: readonly number[];
}

const file = process.env["BENCH_FILE"]!;
const samplesMax = 5_000;
const waitsMs: number[] = [];
let firstAt = 0;
let timer: ReturnType<typeof setTimeout> | undefined;

/** Called by the handler of every job with what its payload says. */
export function started(at: number): void {
  if (firstAt === 0) {
    firstAt = performance.timeOrigin + performance.now();
    note();
  }
  if (at <= 1 || waitsMs.length >= samplesMax) return;
  waitsMs.push(performance.timeOrigin + performance.now() - at);
  timer ??= setTimeout(note, 200);
}

function note(): void {
  timer = undefined;
  writeFileSync(file, JSON.stringify({ firstAt, waitsMs } satisfies Noted));
}
