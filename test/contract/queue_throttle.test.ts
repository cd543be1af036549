/** What every Queue driver promises of unique keys that hold for a time: the next in it is the first one, whatever became of that. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";

import type { Consumer, Queue } from "../../src/store/queue/queue.ts";
import { eventually } from "../harness/eventually.ts";
import { queueForEachTest, takeAll, takeNow } from "../harness/queues.ts";
import { storeForms } from "../harness/stores.ts";

setDefaultTimeout(60_000);

const hour = 3_600_000;
const job = (throttleMs: number, more = {}) => ({ name: "j", payload: "1", unique: "j:k", throttleMs, ...more });

for (const [driver, urlOf] of Object.entries(storeForms)) {
  describe(`throttles on ${driver}`, () => {
    let queue: Queue;
    let name: string;
    let ours: Consumer;
    queueForEachTest(urlOf, {}, (fresh) => ({ queue, name, ours } = fresh));

    const runOne = async () => {
      const [lease] = await takeAll(ours, 1);
      await ours.settle([{ to: "completed", lease: lease! }]);
    };

    test("within its time another is not enqueued, though the first has run; after it, one is", async () => {
      const [first] = await queue.enqueue(name, [job(300)]);
      expect(await queue.enqueue(name, [job(300)])).toEqual([first!]);
      await runOne();
      expect(await queue.enqueue(name, [job(300), job(300)])).toEqual([first!, first!]);
      expect(await takeNow(ours)).toEqual([]);
      const [second] = await eventually(async () => {
        const ids = await queue.enqueue(name, [job(hour)]);
        return ids[0] === first ? undefined : ids;
      });
      expect(await queue.enqueue(name, [job(hour)])).toEqual([second!]);
      await runOne();
      expect(await takeNow(ours)).toEqual([]);
    });

    test("one that still waits when its time is over is the only one all the same", async () => {
      const [first] = await queue.enqueue(name, [job(1)]);
      const over = Date.now() + 5;
      await eventually(() => Date.now() > over);
      expect(await queue.enqueue(name, [job(1)])).toEqual([first!]);
      await runOne();
    });

    test("keys are apart, and without a time a key is free with the outcome", async () => {
      const [first] = await queue.enqueue(name, [job(hour)]);
      const others = await queue.enqueue(name, [job(hour, { unique: "j:other" }), { name: "j", payload: "1" }]);
      expect(new Set([first, ...others]).size).toBe(3);
      await ours.settle((await takeAll(ours, 3)).map((lease) => ({ to: "completed", lease })));
      const [plain] = await queue.enqueue(name, [job(0)]);
      expect(plain).not.toBe(first);
    });

    test("what comes from the outbox keeps to it, and holds it", async () => {
      const [first] = await queue.enqueue(name, [job(hour)]);
      await runOne();
      expect(await queue.enqueueOnce(name, [{ ...job(hour), id: "a" }])).toEqual([false]);
      expect(await queue.enqueueOnce(name, [{ ...job(hour, { unique: "j:b" }), id: "b" }])).toEqual([true]);
      await runOne();
      expect(await queue.enqueue(name, [job(hour, { unique: "j:b" })])).toEqual([`${name}:b`]);
      expect(await queue.enqueue(name, [job(hour)])).toEqual([first!]);
    });

    test("pruning forgets those whose time is over, and no other", async () => {
      const [first] = await queue.enqueue(name, [job(hour)]);
      await queue.enqueue(name, [job(1, { unique: "j:short" })]);
      await ours.settle((await takeAll(ours, 2)).map((lease) => ({ to: "completed", lease })));
      await ours.prune();
      expect(await queue.enqueue(name, [job(hour)])).toEqual([first!]);
      expect(await queue.enqueue(name, [job(1, { unique: "j:short" })])).not.toEqual([first!]);
    });
  });
}
