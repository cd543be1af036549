// scale's enqueuing side of the queue bench, by the public interface of module "scale". Its working side is the binary with entry.ts.

import { parseArguments } from "../../../src/config/arguments.ts";
import { loadConfig } from "../../../src/config/load.ts";
import { job } from "../../../src/runtime/jobs.ts";
import { closeStores, openStores } from "../../../src/runtime/runtime.ts";
import { answer, bulk, enqueueInBulk, enqueueOneByOne, payloadAt, preciseNow, readTask, trickle } from "./task.ts";

const task = readTask();
openStores(loadConfig("worker", parseArguments(["--role=worker", `--queue-url=${task.url}`]), {}, []).config);
const noop = job<{ at: number; text: string }>("noop", () => undefined);
const payload = payloadAt(1);
const many = (jobs: number, delay?: string) =>
  noop.enqueueMany(
    Array.from({ length: jobs }, () => payload),
    delay === undefined ? {} : { delay },
  );

switch (task.do) {
  case "enqueue":
    answer(await enqueueOneByOne(task, () => noop.enqueue(payloadAt(preciseNow()))));
    break;
  case "enqueueMany":
    answer(await enqueueInBulk(task, (jobs) => many(jobs)));
    break;
  case "fill":
    for (let done = 0, round = 1; done < task.jobs; done += bulk, round++) {
      const delayed = task.delayedEvery > 0 && round % task.delayedEvery === 0;
      await many(Math.min(bulk, task.jobs - done), delayed ? "1h" : undefined);
    }
    answer(task.jobs);
    break;
  case "trickle":
    answer(await trickle(task, (at) => noop.enqueue(payloadAt(at))));
    break;
  case "work":
    throw new Error("the binary works");
}
await closeStores();
