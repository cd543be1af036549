// A process that enqueues as fast as it is answered, until it is killed: after each answer, and not before, the ids go to its file.
// `bun producer.ts URL NAMESPACE FILE memory|replicas`

import { appendFileSync } from "node:fs";

import { gatesOf, limitsOf } from "../../../src/runtime/job_limits.ts";
import { openQueue } from "../../../src/store/queue/open.ts";
import type { NewJob } from "../../../src/store/queue/queue.ts";
import { type Kind, kinds } from "./kinds.ts";

const [url = "", namespace = "", file = "", durability] = process.argv.slice(2);
const queue = openQueue(url, { namespace, durability: durability === "replicas" ? "replicas" : "memory" });
const pauseMs = 4;
const lines = 8;
const burst = 50;

function jobsOf(sent: number): readonly NewJob[] {
  if (sent % 400 === 7) return Array.from({ length: burst }, (_, index) => jobOf("rated", index));
  if (sent % 10 === 3) return [jobOf("in_order", sent, `line ${((sent / 10) % lines) | 0}`)];
  return [{ ...jobOf("free", sent), ...(sent % 5 === 0 ? { delayMs: 200 } : {}) }];
}

function jobOf(kind: Kind, number: number, line?: string): NewJob {
  const payload = JSON.stringify({ ms: number % 20, line: line ?? "" });
  return { name: kind, payload, gates: gatesOf(kind, limitsOf(kind, kinds[kind]), line) };
}

for (let sent = 0; ; sent++) {
  try {
    const ids = await queue.enqueue("default", jobsOf(sent));
    appendFileSync(file, ids.map((id) => `${id}\n`).join(""));
  } catch {
    // Refused, or not answered: whoever asked knows that it may not be there.
  }
  await Bun.sleep(pauseMs);
}
