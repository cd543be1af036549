// What a side of the queue bench is asked to do, in a process of its own, and what it answers: JSON in an argument, JSON on stdout.

export interface Task {
  readonly do: "enqueue" | "enqueueMany" | "fill" | "trickle" | "work";
  readonly url: string;
  readonly jobs: number;
  /** Of enqueue: how many at a time. Of work: jobs run at a time. */
  readonly concurrency: number;
  /** Of fill: every so manyth job is delayed by an hour; 0: none. */
  readonly delayedEvery: number;
}

/** The payload of every job: 100 bytes of JSON, and when it was enqueued. */
export function payloadAt(at: number): { readonly at: number; readonly text: string } {
  return { at, text: "x".repeat(100 - '{"at":1700000000000.25,"text":""}'.length) };
}

/** Milliseconds since the epoch with fractions; processes of one machine agree on it. */
export function preciseNow(): number {
  return performance.timeOrigin + performance.now();
}

/** Jobs of one enqueueMany or addBulk. */
export const bulk = 1_000;

/** Enqueues one at a time, so many under way; resolves with the rate a second. */
export async function enqueueOneByOne(task: Task, one: () => Promise<unknown>): Promise<number> {
  for (let warm = 0; warm < 1_000; warm++) await one();
  let left = task.jobs;
  const startedAt = performance.now();
  const loop = async () => {
    while (left-- > 0) await one();
  };
  await Promise.all(Array.from({ length: task.concurrency }, loop));
  return (task.jobs * 1_000) / (performance.now() - startedAt);
}

/** Enqueues in lists; resolves with the rate a second. */
export async function enqueueInBulk(task: Task, many: (jobs: number) => Promise<unknown>): Promise<number> {
  await many(bulk);
  const startedAt = performance.now();
  for (let done = 0; done < task.jobs; done += bulk) await many(Math.min(bulk, task.jobs - done));
  return (task.jobs * 1_000) / (performance.now() - startedAt);
}

/** Enqueues one job at a time on a queue that is idle in between; `one` is told when. */
export async function trickle(task: Task, one: (at: number) => Promise<unknown>): Promise<number> {
  const pauseMs = 4;
  for (let warm = 0; warm < 300; warm++) {
    await one(1);
    await Bun.sleep(1);
  }
  for (let done = 0; done < task.jobs; done++) {
    await one(preciseNow());
    await Bun.sleep(pauseMs);
  }
  return task.jobs;
}

export function readTask(): Task {
  return JSON.parse(process.argv[2]!) as Task;
}

export function answer(value: number): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}
