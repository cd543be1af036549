/** Short writes: nothing is lost, nothing is out of order, a source is told to pause and to go on, and small writes leave together. */
import { describe, expect, test } from "bun:test";

import { type ByteSocket, flushStaged, highWaterBytes, queueBytesMax, WriteQueue } from "../../src/io/write_queue.ts";

/** A socket that takes at most `room` bytes until it is given more. */
class Sluggish implements ByteSocket {
  room: number;
  readonly writes: number[] = [];
  readonly #taken: Buffer[] = [];

  constructor(room: number) {
    this.room = room;
  }

  get taken(): Buffer {
    return Buffer.concat(this.#taken);
  }

  write(bytes: Uint8Array, offset: number, length: number): number {
    const taken = Math.min(this.room, length);
    this.room -= taken;
    this.writes.push(taken);
    this.#taken.push(Buffer.from(bytes.subarray(offset, offset + taken)));
    return taken;
  }
}

function numbered(length: number): Buffer {
  return Buffer.from(Array.from({ length }, (_, index) => (index * 7 + (index >> 8)) & 0xff));
}

describe("a write queue", () => {
  test("sends the small writes of one event as one", () => {
    const socket = new Sluggish(1_000);
    const queue = new WriteQueue(socket);
    for (const word of ["head ", "body ", "end"]) queue.write(Buffer.from(word), 0, word.length);
    expect(socket.writes).toEqual([]);
    flushStaged();
    flushStaged();
    expect([socket.taken.toString(), socket.writes]).toEqual(["head body end", [13]]);
  });

  test("keeps order when small and large writes mix", () => {
    const socket = new Sluggish(1e9);
    const queue = new WriteQueue(socket);
    const large = numbered(100_000);
    queue.write(Buffer.from("first"), 0, 5);
    queue.write(large, 10, 99_000);
    queue.write(Buffer.from("last"), 0, 4);
    flushStaged();
    expect(
      socket.taken.equals(Buffer.concat([Buffer.from("first"), large.subarray(10, 99_000), Buffer.from("last")])),
    ).toBe(true);
  });

  test("does not mix what two queues stage in the same event", () => {
    const sockets = [new Sluggish(100), new Sluggish(100)] as const;
    const [one, two] = [new WriteQueue(sockets[0]), new WriteQueue(sockets[1])];
    for (let n = 0; n < 3; n++) {
      one.write(Buffer.from("1"), 0, 1);
      two.write(Buffer.from("2"), 0, 1);
    }
    flushStaged();
    expect(sockets.map((socket) => socket.taken.toString())).toEqual(["111", "222"]);
  });

  test("sends what it staged before another queue did, once all of it is sent, and in that order", () => {
    const order: string[] = [];
    const queues = ["a", "b"].map((name) => {
      const socket = {
        write: (bytes: Uint8Array, at: number, length: number) => {
          order.push(name + Buffer.from(bytes.subarray(at, at + length)).toString());
          return length;
        },
      };
      return new WriteQueue(socket);
    });
    for (const n of [0, 1, 1, 0]) queues[n]!.write(Buffer.from(String(n)), 0, 1);
    expect([order, queues.map((queue) => queue.pendingBytes)]).toEqual([[], [2, 2]]);
    flushStaged();
    expect([order, queues.map((queue) => queue.pendingBytes)]).toEqual([
      ["a0", "b11", "a0"],
      [0, 0],
    ]);
  });

  test("that is closed forgets what it staged, and nothing of another's", () => {
    const sockets = [new Sluggish(100), new Sluggish(100), new Sluggish(100)];
    const queues = sockets.map((socket) => new WriteQueue(socket));
    for (const queue of queues) queue.write(Buffer.from("bytes"), 0, 5);
    queues[1]!.close();
    queues[2]!.flush();
    expect(sockets.map((socket) => socket.taken.toString())).toEqual(["bytes", "", "bytes"]);
  });

  test("is never kept waiting by more than a bounded number of others", () => {
    const sockets = Array.from({ length: 1_000 }, () => new Sluggish(100));
    let waiting = 0;
    for (const socket of sockets) {
      new WriteQueue(socket).write(Buffer.from("bytes"), 0, 5);
      waiting = Math.max(
        waiting,
        sockets.indexOf(socket) + 1 - sockets.filter(({ writes }) => writes.length > 0).length,
      );
    }
    flushStaged();
    expect(waiting).toBeLessThan(100);
    expect(sockets.every(({ taken }) => taken.toString() === "bytes")).toBe(true);
  });

  test.each([1, 7, 1_000, 50_000])("loses nothing when the socket takes %d bytes at a time", (step) => {
    const socket = new Sluggish(0);
    const queue = new WriteQueue(socket);
    const bytes = numbered(Math.min(step * 20, 200_000));
    queue.write(bytes, 0, 3);
    queue.write(bytes, 3, bytes.length);
    flushStaged();
    while (queue.pendingBytes > 0) {
      socket.room = step;
      queue.flushOnDrain();
    }
    expect(socket.taken.equals(bytes)).toBe(true);
  });

  test("asks the source to pause above the high-water mark, and to go on once below the low one", () => {
    const socket = new Sluggish(0);
    const queue = new WriteQueue(socket);
    const bytes = numbered(highWaterBytes);
    expect(queue.write(bytes, 0, bytes.length)).toBe(true);
    expect(queue.write(bytes, 0, 20_000)).toBe(false);
    socket.room = 10_000;
    expect(queue.flushOnDrain()).toBe(false);
    socket.room = highWaterBytes;
    expect(queue.flushOnDrain()).toBe(true);
    expect(queue.flushOnDrain()).toBe(false);
  });

  test("is full whichever way the bytes came", () => {
    const socket = new Sluggish(0);
    const queue = new WriteQueue(socket);
    const head = Buffer.from("a head of a response");
    for (let kept = 0; kept <= highWaterBytes; kept += head.length) {
      const at = queue.reserve(1_000);
      queue.commit(at + head.copy(queue.staged(), at));
      flushStaged();
    }
    expect(queue.isFull).toBe(true);
    socket.room = 1e6;
    expect(queue.flushOnDrain()).toBe(true);
    expect(queue.isFull).toBe(false);
  });

  test("does not ask a source to go on that was never paused", () => {
    const socket = new Sluggish(0);
    const queue = new WriteQueue(socket);
    queue.write(numbered(30_000), 0, 30_000);
    socket.room = 1e6;
    expect(queue.flushOnDrain()).toBe(false);
  });

  test("has a limit that a source which does not pause runs into", () => {
    const queue = new WriteQueue(new Sluggish(0));
    const bytes = Buffer.alloc(queueBytesMax / 4);
    expect(() => {
      for (let n = 0; n < 5; n++) queue.write(bytes, 0, bytes.length);
    }).toThrow(/write queue/);
  });

  test("forgets everything when the socket is gone", () => {
    const socket = new Sluggish(0);
    const queue = new WriteQueue(socket);
    queue.write(numbered(30_000), 0, 30_000);
    queue.write(Buffer.from("x"), 0, 1);
    queue.close();
    flushStaged();
    queue.write(numbered(30_000), 0, 30_000);
    expect([queue.pendingBytes, socket.taken.length]).toEqual([0, 0]);
  });
});
