/**
 * What this worker holds, in memory shared with the heartbeat's thread, which must know of a job before its handler can block the
 * loop. Written by the main thread, a few stores a job; the thread reads, and changes one thing: a place from buffered to handed back.
 *
 *      free ──add──▶ buffered ──begin──▶ begun ──free──▶ free
 *                       └──handBack──▶ handed back ──free──▶ free      begin and handBack are one compare-and-exchange: only one wins
 *
 * Invariant: a place that is reused changes its generation, so that a reader who overlaps with that throws away what he read.
 */
import { ScaleError } from "../src/std/errors.ts";
import type { Token } from "../src/store/queue/queue.ts";

const state = { free: 0, buffered: 1, begun: 2, handedBack: 3 } as const;

/** Words of a place: state, generation, queue, deliveries, then its deadline as a double. The entry's text is beside them. */
const wordsPerPlace = 6;
const deadlineWord = 4;
const entryBytesMax = 40;
const headerWords = 2;
const mainPulse = 0;
const threadPulse = 1;

export interface Place extends Token {
  readonly place: number;
  /** Index in the worker's list of queues. */
  readonly queue: number;
  readonly begun: boolean;
  /** Until when it may be renewed, in milliseconds since the epoch. */
  readonly deadlineMs: number;
}

export class LeaseTable {
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #doubles: Float64Array;
  readonly #texts: Uint8Array;
  readonly #places: number;
  readonly #textsAt: number;
  readonly #free: number[];

  /** A table for so many jobs, or the one another thread made. */
  constructor(of: number | SharedArrayBuffer) {
    const bytesPerPlace = 4 * wordsPerPlace + entryBytesMax;
    this.buffer = typeof of === "number" ? new SharedArrayBuffer(4 * headerWords + of * bytesPerPlace) : of;
    this.#places = (this.buffer.byteLength - 4 * headerWords) / bytesPerPlace;
    this.#textsAt = 4 * (headerWords + this.#places * wordsPerPlace);
    this.#words = new Int32Array(this.buffer, 0, this.#textsAt / 4);
    this.#doubles = new Float64Array(this.buffer, 0, this.#textsAt / 8);
    this.#texts = new Uint8Array(this.buffer, this.#textsAt);
    this.#free = Array.from({ length: this.#places }, (_, place) => this.#places - 1 - place);
  }

  /** A job was taken. Returns its place. */
  add(queue: number, { entry, deliveries }: Token): number {
    const place = this.#free.pop();
    if (place === undefined || entry.length >= entryBytesMax) throw misfit(this.#places, entry);
    const at = headerWords + place * wordsPerPlace;
    this.#words[at + 1]! += 1;
    this.#words[at + 2] = queue;
    this.#words[at + 3] = deliveries;
    this.#doubles[(at + deadlineWord) / 2] = Number.POSITIVE_INFINITY;
    const text = place * entryBytesMax;
    this.#texts[text] = entry.length;
    for (let index = 0; index < entry.length; index++) this.#texts[text + 1 + index] = entry.charCodeAt(index);
    Atomics.store(this.#words, at, state.buffered);
    return place;
  }

  /** We took it again ourselves: the former token is void. */
  retoken(place: number, { deliveries }: Token): void {
    Atomics.store(this.#words, headerWords + place * wordsPerPlace + 3, deliveries);
  }

  /** False where the thread has handed it back: it must not run. */
  begin(place: number, deadlineMs: number): boolean {
    const at = headerWords + place * wordsPerPlace;
    this.#doubles[(at + deadlineWord) / 2] = deadlineMs;
    return Atomics.compareExchange(this.#words, at, state.buffered, state.begun) === state.buffered;
  }

  /** Its handler has ended; the lease is kept until the outcome is recorded, however long the store is away. */
  end(place: number): void {
    this.#doubles[(headerWords + place * wordsPerPlace + deadlineWord) / 2] = Number.POSITIVE_INFINITY;
  }

  isHandedBack(place: number): boolean {
    return Atomics.load(this.#words, headerWords + place * wordsPerPlace) === state.handedBack;
  }

  free(place: number): void {
    Atomics.store(this.#words, headerWords + place * wordsPerPlace, state.free);
    this.#free.push(place);
  }

  /** For the thread: everything that is held. */
  held(): Place[] {
    const held: Place[] = [];
    for (let place = 0; place < this.#places; place++) {
      const found = this.#read(place);
      if (found) held.push(found);
    }
    return held;
  }

  /** For the thread. False where the job has begun meanwhile. */
  handBack({ place }: Place): boolean {
    const at = headerWords + place * wordsPerPlace;
    return Atomics.compareExchange(this.#words, at, state.buffered, state.handedBack) === state.buffered;
  }

  /** The main thread's loop turns. */
  pulse(): void {
    Atomics.add(this.#words, mainPulse, 1);
  }

  get pulses(): number {
    return Atomics.load(this.#words, mainPulse);
  }

  /** The heartbeat's loop turns. */
  beat(): void {
    Atomics.add(this.#words, threadPulse, 1);
  }

  get beats(): number {
    return Atomics.load(this.#words, threadPulse);
  }

  #read(place: number): Place | undefined {
    const at = headerWords + place * wordsPerPlace;
    const before = Atomics.load(this.#words, at);
    if (before !== state.buffered && before !== state.begun) return undefined;
    const generation = Atomics.load(this.#words, at + 1);
    const text = place * entryBytesMax;
    const length = this.#texts[text]!;
    let entry = "";
    for (let index = 0; index < length; index++) entry += String.fromCharCode(this.#texts[text + 1 + index]!);
    const read = {
      place,
      entry,
      deliveries: Atomics.load(this.#words, at + 3),
      queue: Atomics.load(this.#words, at + 2),
      begun: before === state.begun,
      deadlineMs: this.#doubles[(at + deadlineWord) / 2]!,
    };
    const same = Atomics.load(this.#words, at + 1) === generation && Atomics.load(this.#words, at) !== state.free;
    return same ? read : undefined;
  }
}

function misfit(places: number, entry: string): ScaleError {
  return new ScaleError("internal", `the table of leases has no place for ${entry}: it is made for ${places} jobs`);
}
