/** What every Queue driver promises of jobs in a worker's hands: what has begun, who keeps it, what goes back untouched. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";

import type { Consumer, Queue } from "../../src/store/queue/queue.ts";
import { eventually } from "../harness/eventually.ts";
import { queueForEachTest, reclaimOne, takeAll, takeNow } from "../harness/queues.ts";
import { storeForms } from "../harness/stores.ts";

setDefaultTimeout(60_000);

const job = (name: string, more = {}) => ({ name, payload: "{}", ...more });

for (const [driver, urlOf] of Object.entries(storeForms)) {
  describe(`leases on ${driver}`, () => {
    let queue: Queue;
    let name: string;
    let ours: Consumer;
    let theirs: Consumer;
    queueForEachTest(urlOf, {}, (fresh) => ({ queue, name, ours, theirs } = fresh));

    test("what was taken and not begun has no start behind it when another takes it over", async () => {
      await queue.enqueue(name, [job("j")]);
      await takeAll(ours, 1);
      expect(await reclaimOne(theirs, 1)).toMatchObject({ attempts: 0, starts: 0, alone: false });
    });

    test("what has begun is known to whoever takes it over, time after time, and whether it was alone", async () => {
      await queue.enqueue(name, [job("j")]);
      const [first] = await takeAll(ours, 1);
      expect(await ours.begin([{ lease: first!, alone: false }])).toEqual([]);
      const second = await reclaimOne(theirs, 1);
      expect(second).toMatchObject({ attempts: 0, starts: 1, alone: false });
      expect(await theirs.begin([{ lease: second, alone: true }])).toEqual([]);
      const third = await reclaimOne(ours, 1);
      expect(third).toMatchObject({ attempts: 0, starts: 2, alone: true });
      expect(await ours.held(10)).toMatchObject([{ starts: 2, alone: true }]);
    });

    test("who has lost a job cannot begin it any more", async () => {
      await queue.enqueue(name, [job("a"), job("b")]);
      const [a, b] = await takeAll(ours, 2);
      await ours.settle([{ to: "completed", lease: b! }]);
      const taken = await reclaimOne(theirs, 1);
      expect(await ours.begin([{ lease: a!, alone: false }])).toEqual([a!]);
      expect(await ours.begin([{ lease: b!, alone: false }])).toEqual([b!]);
      expect(await theirs.begin([{ lease: taken, alone: false }])).toEqual([]);
    });

    test("an outcome ends the count of starts: a retry begins with none", async () => {
      await queue.enqueue(name, [job("j")]);
      const [lease] = await takeAll(ours, 1);
      await ours.begin([{ lease: lease!, alone: true }]);
      await ours.settle([{ to: "retryable", lease: lease!, attempts: 1, delayMs: 1, reason: "no" }]);
      await eventually(async () => (await ours.promote(10)) === undefined);
      expect(await takeAll(ours, 1)).toMatchObject([{ attempts: 1, starts: 0, alone: false }]);
    });

    test("a keeper holds what its owner took, and tells what went to others", async () => {
      await queue.enqueue(name, [job("a"), job("b")]);
      const [a, b] = await takeAll(ours, 2);
      const keeper = queue.keeper(name, "ours");
      await ours.settle([{ to: "completed", lease: b! }]);
      for (let beats = 0; beats < 5; beats++) {
        await Bun.sleep(30);
        const lost = await keeper.renew([a!, b!]);
        expect(lost.map(({ entry }) => entry)).toEqual([b!.entry]);
        expect(await theirs.reclaim(10, 2_000)).toEqual([]);
      }
      await reclaimOne(theirs, 1);
      expect(await keeper.renew([a!])).toMatchObject([{ entry: a!.entry, deliveries: 1 }]);
    });

    test("what a keeper hands back is there for others as if never taken, under its id", async () => {
      const ids = await queue.enqueue(name, [job("a", { unique: "k" }), job("b"), job("c")]);
      const [a, b, c] = await takeAll(ours, 3);
      await ours.begin([{ lease: c!, alone: false }]);
      const keeper = queue.keeper(name, "ours");
      await keeper.handBack([a!, b!]);
      expect(await queue.stats(name)).toMatchObject({ waiting: 2, running: 1 });
      const again = await takeAll(theirs, 2);
      expect(again.map(({ id }) => id)).toEqual([ids[0]!, ids[1]!]);
      expect(again).toMatchObject([
        { name: "a", attempts: 0, starts: 0, deliveries: 1, unique: "k", payload: "{}" },
        { name: "b", attempts: 0, starts: 0, deliveries: 1 },
      ]);
      // Our tokens are void: the jobs are theirs.
      await keeper.handBack([a!]);
      expect(await ours.settle([{ to: "completed", lease: a! }])).toEqual([a!]);
      expect(await takeNow(ours)).toEqual([]);
    });

    test("a job that was begun elsewhere and is handed back keeps what is known of it", async () => {
      const [id] = await queue.enqueue(name, [job("j")]);
      const [first] = await takeAll(ours, 1);
      await ours.begin([{ lease: first!, alone: true }]);
      const second = await reclaimOne(theirs, 1);
      await theirs.handBack([second]);
      const [third] = await takeAll(ours, 1);
      expect(third).toMatchObject({ id, starts: 1, alone: true });
      await ours.handBack([third!]);
      expect(await takeAll(ours, 1)).toMatchObject([{ id, starts: 1, alone: true }]);
    });
  });
}
