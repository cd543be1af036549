/** Who waits for room, in which order they go on, and who is turned away. */
import { describe, expect, test } from "bun:test";

import { type Waiting, WaitQueue } from "../../lb/wait_queue.ts";
import { clock } from "../../src/std/clock.ts";

function scene(depthMax: number) {
  const queue = new WaitQueue();
  queue.depthMax = depthMax;
  const went: string[] = [];
  const waiting = (name: string, proceed: () => void = () => undefined): Waiting => ({
    proceed: () => {
      went.push(name);
      proceed();
    },
  });
  return { queue, went, waiting };
}

describe("a queue", () => {
  test("lets the oldest go on first, as many as there is room for", () => {
    const { queue, went, waiting } = scene(5);
    for (const name of "abcd") queue.push(waiting(name));
    queue.advance(() => went.length < 2);
    expect([went, queue.depth]).toEqual([["a", "b"], 2]);
  });

  test("turns the newest away when it is full", () => {
    const { queue, went, waiting } = scene(2);
    expect(["a", "b", "c"].map((name) => queue.push(waiting(name)))).toEqual([true, true, false]);
    queue.advance(() => true);
    expect([went, queue.shedWhenFull]).toEqual([["a", "b"], 1]);
  });

  test("of depth 0 takes nobody", () => {
    const { queue, waiting } = scene(0);
    expect(queue.push(waiting("a"))).toBe(false);
  });

  test("forgets one that no longer waits", () => {
    const { queue, went, waiting } = scene(2);
    const [a, b] = [waiting("a"), waiting("b")];
    queue.push(a);
    queue.push(b);
    queue.delete(a);
    queue.delete(a);
    queue.advance(() => true);
    expect([went, queue.waits.count]).toEqual([["b"], 2]);
  });

  test("asks each that waits once, also one that waits again at once", () => {
    const { queue, went, waiting } = scene(5);
    const stubborn = waiting("a", () => queue.push(stubborn));
    queue.push(stubborn);
    queue.push(waiting("b"));
    queue.advance(() => true);
    expect([went, queue.depth]).toEqual([["a", "b"], 1]);
  });

  test("measures how long they waited", () => {
    const { queue, waiting } = scene(5);
    queue.push(waiting("a"));
    clock.now += 1_500;
    queue.advance(() => true);
    expect(queue.waits.sum).toBeCloseTo(1.5);
  });
});
