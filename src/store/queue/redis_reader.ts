/**
 * Waiting for jobs on Redis: reads of the group in one owner's name, on a connection of its own, because they block it. What is done
 * with what is read is redis_consumer.ts.
 */
import type { OpenRedis } from "../redis/access.ts";
import type { RedisAccess } from "../redis/connection.ts";
import { listOf, type ScriptReply, textOf, textsOf } from "../redis/script.ts";
import { type Priority, Turns } from "./priorities.ts";
import { suffixOf } from "./redis_keys.ts";
import { group } from "./redis_lease_scripts.ts";
import type { RedisLeases } from "./redis_leases.ts";

/** Room for a round trip on top of the time a read waits by intention. */
const graceMs = 2_000;
const interruptIntervalMs = 50;

/** A job as its stream gave it. */
export interface Read {
  readonly entry: string;
  readonly mark: string;
  readonly envelope: string;
}

export class RedisReader {
  readonly #leases: RedisLeases;
  readonly #commands: RedisAccess;
  readonly #redis: RedisAccess;
  /** What its server calls the connection that waits there. */
  #waiting: { readonly place: string; readonly id: Promise<number> } | undefined;
  readonly #turns = new Turns();
  #inUse: readonly Priority[] = ["normal"];
  /** Ends the take that is under way. */
  #interrupt: (() => void) | undefined;

  /** `commands`: what does not block. */
  constructor(open: OpenRedis, name: string, leases: RedisLeases, commands: RedisAccess) {
    this.#leases = leases;
    this.#commands = commands;
    this.#redis = open({
      name,
      unpipelined: true,
      onLostReply: "fail",
      operationTimeoutMs: graceMs,
      onReady: (client, { place }) => {
        this.#waiting = { place, id: client.client("ID") };
        this.#waiting.id.catch(() => undefined);
      },
    });
  }

  /**
   * Priorities that some job of the queue has ever had. While it is one, taking is one command for as many as there is room for; from
   * several streams at once that would be as many of each.
   */
  get inUse(): readonly Priority[] {
    return this.#inUse;
  }

  /** A read that waits for others would not see what is new. */
  use(priorities: readonly Priority[]): void {
    if (priorities.length === this.#inUse.length) return;
    this.#inUse = priorities;
    this.#interrupt?.();
  }

  async take(max: number, waitMs: number, signal: AbortSignal): Promise<readonly Read[]> {
    if (signal.aborted) return [];
    let interrupter: ReturnType<typeof setInterval> | undefined;
    // Again and again: the read may not have reached the server yet.
    const interrupt = () => {
      this.#unblock();
      interrupter ??= setInterval(() => this.#unblock(), interruptIntervalMs);
    };
    signal.addEventListener("abort", interrupt, { once: true });
    this.#interrupt = interrupt;
    try {
      return await this.#take(max, waitMs);
    } finally {
      this.#interrupt = undefined;
      signal.removeEventListener("abort", interrupt);
      clearInterval(interrupter);
    }
  }

  async #take(max: number, waitMs: number): Promise<readonly Read[]> {
    const inUse = this.#inUse;
    if (inUse.length === 1) return this.#read(inUse, max, waitMs);
    const taken = await this.#turns.take(max, inUse, (priority, share) => this.#read([priority], share, undefined));
    // One at most, except where jobs of several priorities arrived just now: then one of each.
    return taken.length > 0 ? taken : this.#read(inUse, 1, waitMs);
  }

  /** Up to `max` of each; where none is there, waits for the first of any for so long. */
  async #read(of: readonly Priority[], max: number, waitMs: number | undefined): Promise<readonly Read[]> {
    const streams = of.map((priority) => this.#leases.keys.streams[priority].stream);
    const block = waitMs === undefined ? [] : ["BLOCK", Math.max(1, Math.ceil(waitMs))];
    const args = ["GROUP", group, this.#leases.owner, "COUNT", max, ...block, "STREAMS", ...streams];
    const operation = () =>
      this.#redis.run(
        "take jobs",
        streams[0]!,
        (client) => client.call("xreadgroup", ...args, ...streams.map(() => ">")) as Promise<ScriptReply>,
        (waitMs ?? 0) + graceMs,
      );
    const reply = await this.#leases.withGroup(of, operation);
    return (reply === null ? [] : listOf(reply)).flatMap((answer) => {
      const [stream, entries] = listOf(answer);
      return readsOf(entries, suffixOf(of[streams.indexOf(textOf(stream))]!));
    });
  }

  /** Ends a blocking read without losing what it was about to deliver. Its number means something on its own server only. */
  #unblock(): void {
    const there = this.#commands.at(this.#leases.keys.streams.normal.stream);
    if (this.#waiting === undefined || there?.place !== this.#waiting.place) return;
    const unblocked = this.#waiting.id.then((id) => there.client.client("UNBLOCK", id));
    unblocked.catch(() => undefined);
  }

  /** False where it was closed before. */
  close(): boolean {
    const wasOpen = this.#redis.state !== "closed";
    this.#redis.close();
    return wasOpen;
  }
}

/** `suffix`: what entries of this stream have behind their number. */
function readsOf(entries: ScriptReply | undefined, suffix: string): Read[] {
  return listOf(entries).map((entry) => {
    const [number, fields] = listOf(entry);
    const [, envelope = "", , mark = ""] = textsOf(fields);
    return { entry: `${textOf(number)}${suffix}`, mark, envelope };
  });
}
