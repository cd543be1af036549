/**
 * The only place that deals with short writes. A socket takes what the kernel has room for and buffers nothing; the queue keeps
 * the rest and writes it when the socket drains. `write` answers false once more than the high-water mark waits: the source
 * pauses, and goes on when `flushOnDrain` says that the queue is below the low-water mark.
 *
 * Small writes are staged in one buffer that all queues share. What a queue stages in one go leaves as one system call, and all of it after
 * the last event of a turn of the loop (connection.ts): reading first and writing then wakes the other ends less often, which is 2 % of a
 * request's cost at 16 connections and 6 % at 64. Hot: no allocation unless a write is short.
 */
import { ScaleError } from "../std/errors.ts";

/** What a queue needs of a socket. */
export interface ByteSocket {
  /** Bytes taken, −1 when closed. `length` must be given: Bun's default ignores the offset. */
  write(bytes: Uint8Array, offset: number, length: number): number;
}

/** Counts what queues handed to the kernel, or keep for it. */
export interface Traffic {
  bytes: number;
}

/** Unsent bytes at which the source is asked to pause, and below which it may go on. */
export const highWaterBytes = 64 * 1024;
export const lowWaterBytes = 16 * 1024;
/** A source that ignores `false` is a bug. One read can still arrive after it, so this is high water and a few of the largest reads. */
export const queueBytesMax = 8 * 1024 * 1024;

/** Writes up to this size are worth a copy into the stage. */
const stagedWriteBytesMax = 16 * 1024;

/** Runs in the stage; with more, those who wait for the first would wait for long. */
const runsMax = 64;

let stage = Buffer.allocUnsafeSlow(256 * 1024);
/** The run that is open: whose it is, and where it lies. */
let stagedBy: WriteQueue | undefined;
let stagedFrom = 0;
let stagedTo = 0;
/** Those before it, in order, and how many have been sent. */
const owners: (WriteQueue | undefined)[] = Array.from({ length: runsMax }, () => undefined);
const starts = new Int32Array(runsMax);
let runs = 0;
let sentRuns = 0;

export function hasStaged(): boolean {
  return stagedTo > 0;
}

/** Writes what is staged. A write may cause events of its own, which come here as well. */
export function flushStaged(): void {
  closeRun();
  while (sentRuns < runs) {
    const run = sentRuns++;
    const end = sentRuns < runs ? starts[sentRuns]! : stagedFrom;
    const owner = owners[run]!;
    owners[run] = undefined;
    owner.sendStaged(starts[run]!, end);
  }
  runs = sentRuns = 0;
  if (stagedBy === undefined) stagedFrom = stagedTo = 0;
}

function closeRun(): void {
  const owner = stagedBy;
  stagedBy = undefined;
  if (owner === undefined || stagedTo === stagedFrom) return;
  owners[runs] = owner;
  starts[runs++] = stagedFrom;
  stagedFrom = stagedTo;
  if (runs === runsMax) flushStaged();
}

export class WriteQueue {
  /** Bytes that the kernel has taken. */
  takenBytes = 0;
  readonly #traffic: Traffic | undefined;
  readonly #socket: ByteSocket;
  #tail: Buffer | undefined;
  #tailStart = 0;
  #tailEnd = 0;
  #stagedBytes = 0;
  #isHigh = false;
  #isClosed = false;

  constructor(socket: ByteSocket, traffic?: Traffic) {
    this.#socket = socket;
    this.#traffic = traffic;
  }

  /** Bytes not yet taken by the kernel. */
  get pendingBytes(): number {
    return this.#tailEnd - this.#tailStart + this.#stagedBytes;
  }

  /** Whether the high-water mark was passed, and the low one not yet since: no source should go on. */
  get isFull(): boolean {
    return this.#isHigh;
  }

  /** Takes bytes[start, end), which must not change afterwards. False: pause until `flushOnDrain` returns true. */
  write(bytes: Buffer, start: number, end: number): boolean {
    const length = end - start;
    if (length <= stagedWriteBytesMax) {
      const at = this.reserve(length);
      bytes.copy(stage, at, start, end);
      this.commit(at + length);
    } else {
      this.flush();
      this.#bound(length);
      this.#send(bytes, start, length);
    }
    return !this.#isHigh;
  }

  /** Room for `bytesMax` bytes in `staged()`, from the returned index on; `commit` says how far it was filled. */
  reserve(bytesMax: number): number {
    if (stagedBy !== this) closeRun();
    if (stagedTo + bytesMax > stage.length) flushStaged();
    if (bytesMax > stage.length) stage = Buffer.allocUnsafeSlow(bytesMax);
    stagedBy = this;
    return stagedTo;
  }

  staged(): Buffer {
    return stage;
  }

  commit(end: number): void {
    this.#bound(end - stagedTo);
    this.#stagedBytes += end - stagedTo;
    stagedTo = end;
  }

  /** Writes what this queue has staged, and what others have. */
  flush(): void {
    if (this.#stagedBytes > 0) flushStaged();
  }

  /** Its run is next. */
  sendStaged(start: number, end: number): void {
    if (this.#isClosed) return;
    this.#stagedBytes -= end - start;
    this.#send(stage, start, end - start);
  }

  /** The socket can take more. True once, when the queue is no longer full. */
  flushOnDrain(): boolean {
    if (this.#tail !== undefined) this.#sendTail();
    if (!this.#isHigh || this.pendingBytes > lowWaterBytes) return false;
    this.#isHigh = false;
    return true;
  }

  /** Forgets what was not sent: the socket is gone. */
  close(): void {
    this.#isClosed = true;
    this.#tail = undefined;
    this.#tailStart = this.#tailEnd = this.#stagedBytes = 0;
  }

  #bound(length: number): void {
    if (this.pendingBytes + length <= queueBytesMax) return;
    throw new ScaleError("internal", `a write queue holds ${this.pendingBytes} bytes and was given ${length} more`);
  }

  #send(bytes: Buffer, start: number, length: number): void {
    if (this.#isClosed) return;
    if (this.#traffic !== undefined) this.#traffic.bytes += length;
    if (this.#tail !== undefined) return this.#keep(bytes, start, length);
    const taken = Math.max(0, this.#socket.write(bytes, start, length));
    this.takenBytes += taken;
    if (taken < length) this.#keep(bytes, start + taken, length - taken);
  }

  /** However it came here: what was staged by `commit` alone fills the queue as well. */
  #keep(bytes: Buffer, start: number, length: number): void {
    const waiting = this.#tailEnd - this.#tailStart;
    this.#isHigh ||= waiting + length > highWaterBytes;
    // A read's buffer is nobody else's and is kept as it is; the stage is used again at once.
    if (this.#tail === undefined && bytes !== stage) {
      this.#tail = bytes;
      this.#tailStart = start;
      this.#tailEnd = start + length;
      return;
    }
    const tail = Buffer.allocUnsafeSlow(waiting + length);
    this.#tail?.copy(tail, 0, this.#tailStart, this.#tailEnd);
    bytes.copy(tail, waiting, start, start + length);
    this.#tail = tail;
    this.#tailStart = 0;
    this.#tailEnd = tail.length;
  }

  #sendTail(): void {
    const taken = Math.max(0, this.#socket.write(this.#tail!, this.#tailStart, this.#tailEnd - this.#tailStart));
    this.takenBytes += taken;
    this.#tailStart += taken;
    if (this.#tailStart < this.#tailEnd) return;
    this.#tail = undefined;
    this.#tailStart = this.#tailEnd = 0;
  }
}
