// BullMQ in the queue bench, as its manual shows it, with removeOnComplete so that it keeps nothing.

import { Queue, Worker } from "bullmq";
import { Redis } from "ioredis";

import { started } from "./started.ts";
import { answer, bulk, enqueueInBulk, enqueueOneByOne, payloadAt, preciseNow, readTask } from "./task.ts";

const task = readTask();
const connection = new Redis(task.url, { maxRetriesPerRequest: null });
const options = { removeOnComplete: true } as const;

if (task.do === "work") {
  const worker = new Worker(
    "noop",
    (job) => {
      started((job.data as { at: number }).at);
      return Promise.resolve();
    },
    { connection, concurrency: task.concurrency },
  );
  process.on("SIGTERM", () => void worker.close().then(() => process.exit(0)));
} else {
  const queue = new Queue("noop", { connection });
  const many = (jobs: number, delay = 0) =>
    queue.addBulk(
      Array.from({ length: jobs }, () => ({ name: "noop", data: payloadAt(1), opts: { ...options, delay } })),
    );
  if (task.do === "enqueue")
    answer(await enqueueOneByOne(task, () => queue.add("noop", payloadAt(preciseNow()), options)));
  if (task.do === "enqueueMany") answer(await enqueueInBulk(task, (jobs) => many(jobs)));
  if (task.do === "fill") {
    for (let done = 0, round = 1; done < task.jobs; done += bulk, round++) {
      const delayed = task.delayedEvery > 0 && round % task.delayedEvery === 0;
      await many(Math.min(bulk, task.jobs - done), delayed ? 3_600_000 : 0);
    }
    answer(task.jobs);
  }
  await queue.close();
  connection.disconnect();
}
