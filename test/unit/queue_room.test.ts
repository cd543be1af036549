// How far many producers may go without asking whether a queue has room.
import { expect, test } from "bun:test";

import { Room } from "../../src/store/queue/room.ts";

/** Producers in turn, each of whom asks the queue when he must; returns what it holds when everybody is refused. */
function fill(producers: number, jobsMax: number): { readonly held: number; readonly asked: number } {
  let held = 0;
  let asked = 0;
  let open = Array.from({ length: producers }, () => new Room());
  while (open.length > 0) {
    open = open.filter((room) => {
      if (room.take("q")) held++;
      else {
        asked++;
        if (held + 1 > jobsMax) return false;
        held++;
        room.tell("q", jobsMax - held);
      }
      return true;
    });
  }
  return { held, asked };
}

test.each([1, 20, 200, 500])("%d producers fill a queue to its limit and no further", (producers) => {
  expect(fill(producers, 100_000).held).toBe(100_000);
});

test("producers that were told of room, and use it when another has filled it, pass the limit by their shares", () => {
  const idle = Array.from({ length: 20 }, () => new Room());
  for (const room of idle) room.tell("q", 100_000);
  let held = fill(1, 100_000).held;
  for (const room of idle) while (room.take("q")) held++;
  expect(held).toBe(100_000 + 20 * (100_000 / 500));
});

test("asking is rare while there is room", () => {
  expect(fill(1, 1_000_000).asked).toBeLessThan(15_000);
});
