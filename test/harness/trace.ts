// What the jobs of a test noted in a file, one line an event: `EVENT ID ATTEMPT PID`. Several processes write it.

import { readFileSync } from "node:fs";
import { join } from "node:path";

import { temporaryDirectory } from "./temporary.ts";

export interface TraceEvent {
  readonly event: string;
  readonly id: string;
  readonly attempt: number;
  readonly pid: number;
}

/** A file nobody has written to. */
export function freshTrace(): string {
  return join(temporaryDirectory("trace"), "trace");
}

/** What has been noted so far, of one kind or all. */
export function readTrace(file: string, event?: string): readonly TraceEvent[] {
  const events = linesOf(file).map((line) => {
    const [what = "", id = "", attempt, pid] = line.split(" ");
    return { event: what, id, attempt: Number(attempt), pid: Number(pid) };
  });
  return event === undefined ? events : events.filter((one) => one.event === event);
}

function linesOf(file: string): string[] {
  try {
    return readFileSync(file, "utf8").split("\n").slice(0, -1);
  } catch {
    return [];
  }
}
