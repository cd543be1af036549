/** The operator's side of queues on Redis. The scripts are redis_inspector_scripts.ts, what an operator sees is inspect.ts. */
import type { RedisConnection } from "../redis/connection.ts";
import {
  listOf,
  numberOf,
  type Script,
  type ScriptArgument,
  type ScriptReply,
  textOf,
  textsOf,
} from "../redis/script.ts";
import { decodeEnvelope } from "./envelope.ts";
import {
  type Cancelled,
  cancelledRecord,
  type Count,
  counts,
  type Inspector,
  notACursor,
  type Page,
  type Place,
  queueOfId,
  type QueueOverview,
  refusedRetry,
  type Retried,
  retriedEnvelope,
  sortedCursor,
  type StoredJob,
} from "./inspect.ts";
import { startsOf } from "./lease.ts";
import { cancellationsMax, queueFull, type QueueLimits, tooManyCancellations } from "./limits.ts";
import * as scripts from "./redis_inspector_scripts.ts";
import { keysOf, type QueueKeys, queuesKey } from "./redis_keys.ts";

/** A job that moves while it is steered is looked for again this often. */
const lookupsMax = 5;

export class RedisInspector implements Inspector {
  readonly #connection: RedisConnection;
  readonly #limits: QueueLimits;

  constructor(connection: RedisConnection, limits: QueueLimits) {
    this.#connection = connection;
    this.#limits = limits;
  }

  async queues(): Promise<readonly string[]> {
    const names = await this.#connection.run("list queues", (client) =>
      client.smembers(queuesKey(this.#limits.namespace)),
    );
    return names.toSorted();
  }

  async overview(queue: string): Promise<QueueOverview> {
    const { stream, delayed, dead, done, control, counts: counted } = this.#keys(queue);
    const keys = [stream, delayed, dead, done, control, counted];
    const [entries, running, late, letters, kept, paused, oldest, added, ...rest] = listOf(
      await this.#run("count jobs", scripts.overview, keys, []),
    );
    const numbers = new Map([["arrived", numberOf(added)]]);
    for (let index = 0; index + 1 < rest.length; index += 2)
      numbers.set(textOf(rest[index]), numberOf(rest[index + 1]));
    return {
      waiting: Math.max(0, numberOf(entries) - numberOf(running)),
      running: numberOf(running),
      delayed: numberOf(late),
      dead: numberOf(letters),
      done: numberOf(kept),
      pausedAtMs: paused === "" ? undefined : numberOf(paused),
      oldestWaitingAtMs: oldest === "" ? undefined : clockOf(textOf(oldest)),
      counts: Object.fromEntries(counts.map((count) => [count, numbers.get(count) ?? 0])) as { [C in Count]: number },
    };
  }

  async page(queue: string, place: Place, cursor: string | undefined, max: number): Promise<Page> {
    const { stream, started, delayed, delayedJobs, dead, deadJobs, done, doneJobs } = this.#keys(queue);
    switch (place) {
      case "waiting":
        return this.#streamPage(queue, place, scripts.waitingPage, [stream], cursor, max);
      case "running":
        return this.#streamPage(queue, place, scripts.runningPage, [stream, started], cursor, max);
      case "delayed":
        return this.#sortedPage(queue, place, [delayed, delayedJobs], cursor, max);
      case "dead":
        return this.#sortedPage(queue, place, [dead, deadJobs], cursor, max);
      case "done":
        return this.#sortedPage(queue, place, [done, doneJobs], cursor, max);
    }
  }

  async #streamPage(
    queue: string,
    place: "waiting" | "running",
    chosen: Script,
    keys: readonly string[],
    cursor: string | undefined,
    max: number,
  ): Promise<Page> {
    if (cursor !== undefined && !/^\d{1,16}-\d{1,16}$/.test(cursor)) throw notACursor(cursor);
    const flat = listOf(await this.#run("list jobs", chosen, keys, [max, cursor ?? ""]));
    const jobs = inGroups(flat, place === "waiting" ? 3 : 6).map((facts) => jobInStream(queue, place, facts));
    return this.#pageOf(jobs, max);
  }

  async #sortedPage(
    queue: string,
    place: Place,
    keys: readonly string[],
    cursor: string | undefined,
    max: number,
  ): Promise<Page> {
    const [score = "", id] = sortedCursor(cursor);
    const order = place === "delayed" ? "up" : "down";
    const flat = listOf(await this.#run("list jobs", scripts.sortedPage, keys, [max, id, score, order]));
    const jobs = inGroups(flat, 4).map(([member, head, bytes, at]) => ({
      queue,
      place,
      entry: textOf(member),
      envelope: textOf(head),
      payloadBytes: numberOf(bytes),
      atMs: numberOf(at),
    }));
    return this.#pageOf(jobs, max);
  }

  #pageOf(jobs: readonly StoredJob[], max: number): Page {
    const last = jobs.at(-1);
    return { jobs, next: jobs.length < max || last === undefined ? undefined : this.cursorAfter(last) };
  }

  cursorAfter({ place, entry, atMs }: StoredJob): string {
    return place === "waiting" || place === "running" ? entry : `${atMs}@${entry}`;
  }

  async find(id: string): Promise<StoredJob | undefined> {
    const queue = queueOfId(id);
    if (queue === undefined) return undefined;
    const all = this.#keys(queue);
    const { stream, moved, delayed, delayedJobs, dead, deadJobs, done, doneJobs, progress, cancel, started } = all;
    const keys = [stream, moved, delayed, delayedJobs, dead, deadJobs, done, doneJobs, progress, cancel, started];
    const inQueue = id.slice(queue.length + 1);
    const [place, at, envelope, note, cancelling, ...lease] = listOf(
      await this.#run("find a job", scripts.find, keys, [inQueue]),
    );
    if (place === undefined) return undefined;
    const entry = place === "waiting" || place === "running" ? textOf(at) : inQueue;
    return {
      queue,
      place: place as Place,
      entry,
      envelope: textOf(envelope),
      payloadBytes: payloadBytesOf(textOf(envelope)),
      atMs: place === "waiting" ? clockOf(entry) : place === "running" ? 0 : numberOf(at),
      cancelling: cancelling === 1,
      ...(note === "" ? {} : { progress: textOf(note) }),
      ...(place === "running" ? leaseFacts(lease) : {}),
    };
  }

  async cancel(id: string): Promise<Cancelled> {
    for (let lookup = 0; lookup < lookupsMax; lookup++) {
      const job = await this.find(id);
      if (job === undefined) return this.#forgetOrder(id, "unknown");
      if (job.place === "dead" || job.place === "done") return this.#forgetOrder(id, "ended");
      const outcome = await this.#cancelFound(job);
      if (outcome === "busy") throw tooManyCancellations(job.queue);
      if (outcome === "cancelled" || outcome === "cancelling") return outcome;
    }
    return "unknown";
  }

  async #cancelFound(job: StoredJob): Promise<string> {
    const keys = this.#keys(job.queue);
    const { stream, moved, delayed, delayedJobs, unique, done, doneJobs, cancel, counts: counted, progress } = keys;
    const { id = job.entry, unique: key = "" } = decodeEnvelope(job.envelope);
    const reply = await this.#run(
      "cancel a job",
      scripts.cancel,
      [stream, moved, delayed, delayedJobs, unique, done, doneJobs, cancel, counted, progress],
      [id, key, this.#limits.completedAge, cancelledRecord(job), cancellationsMax],
    );
    return textOf(reply);
  }

  async #forgetOrder(id: string, outcome: Cancelled): Promise<Cancelled> {
    const queue = queueOfId(id);
    if (queue === undefined) return outcome;
    const { cancel } = this.#keys(queue);
    await this.#connection.run("forget an order", (client) => client.hdel(cancel, id.slice(queue.length + 1)));
    return outcome;
  }

  async retry(queue: string, ids: readonly string[]): Promise<readonly Retried[]> {
    let outcomes: readonly (Retried | "changed")[] = ids.map(() => "changed");
    for (let lookup = 0; lookup < lookupsMax && outcomes.includes("changed"); lookup++) {
      const again = ids.filter((_, index) => outcomes[index] === "changed");
      const jobs = await Promise.all(again.map((id) => this.find(id)));
      const fresh = await this.#retryFound(queue, jobs);
      let next = 0;
      outcomes = outcomes.map((outcome) => (outcome === "changed" ? fresh[next++]! : outcome));
    }
    return outcomes.map((outcome) => (outcome === "changed" ? "underway" : outcome));
  }

  async #retryFound(
    queue: string,
    jobs: readonly (StoredJob | undefined)[],
  ): Promise<readonly (Retried | "changed")[]> {
    const outcomes = jobs.map((job): Retried | "changed" => refusedRetry(job) ?? "changed");
    for (const place of ["delayed", "dead", "done"] as const) {
      const chosen = jobs.flatMap((job, index) =>
        job?.place === place && outcomes[index] === "changed" ? [index] : [],
      );
      if (chosen.length === 0) continue;
      const reply = await this.#retryScript(
        queue,
        place,
        chosen.map((index) => jobs[index]!),
      );
      for (const [at, index] of chosen.entries()) outcomes[index] = reply[at] as Retried | "changed";
    }
    return outcomes;
  }

  async #retryScript(
    queue: string,
    place: "delayed" | "dead" | "done",
    jobs: readonly StoredJob[],
  ): Promise<readonly string[]> {
    const keys = this.#keys(queue);
    const args: ScriptArgument[] = [this.#limits.jobsMax];
    for (const job of jobs) {
      const { id = job.entry, unique = "" } = decodeEnvelope(job.envelope);
      args.push(id, job.atMs, unique, retriedEnvelope(job));
    }
    const { stream, delayed, unique, moved } = keys;
    const from = [keys[place], keys[`${place}Jobs`]];
    const reply = await this.#run("retry jobs", scripts.retry, [stream, delayed, unique, moved, ...from], args);
    if (typeof reply === "number") throw queueFull(queue, reply, jobs.length, this.#limits.jobsMax);
    return textsOf(reply);
  }

  async discard(queue: string, ids: readonly string[]): Promise<readonly boolean[]> {
    const { dead, deadJobs } = this.#keys(queue);
    const inQueue = ids.map((id) => id.slice(queue.length + 1));
    const gone = listOf(await this.#run("discard jobs", scripts.forgetDead, [dead, deadJobs], inQueue));
    return gone.map((answer) => answer === 1);
  }

  async pause(queue: string): Promise<void> {
    const { control } = this.#keys(queue);
    await this.#connection.run("pause the queue", (client) => client.hsetnx(control, "paused", String(Date.now())));
  }

  async resume(queue: string): Promise<void> {
    const { control } = this.#keys(queue);
    await this.#connection.run("resume the queue", (client) => client.hdel(control, "paused"));
  }

  #keys(queue: string): QueueKeys {
    return keysOf(this.#limits.namespace, queue);
  }

  #run(what: string, chosen: Script, keys: readonly string[], args: readonly ScriptArgument[]): Promise<ScriptReply> {
    return this.#connection.run(what, (client) => chosen(client, keys, args));
  }
}

/** From entry, head, bytes of the payload, then of a running one its lease. */
function jobInStream(queue: string, place: "waiting" | "running", facts: readonly ScriptReply[]): StoredJob {
  const [entry, head, bytes, ...lease] = facts;
  const found = { queue, place, entry: textOf(entry), envelope: textOf(head), payloadBytes: numberOf(bytes) };
  return place === "waiting" ? { ...found, atMs: clockOf(found.entry) } : { ...found, ...leaseFacts(lease) };
}

/** From owner, ms since the lease was renewed, mark. */
function leaseFacts([owner, idleMs, mark]: readonly ScriptReply[]) {
  return { owner: textOf(owner), atMs: Date.now() - numberOf(idleMs), starts: startsOf(textOf(mark)) };
}

function inGroups(flat: readonly ScriptReply[], size: number): readonly (readonly ScriptReply[])[] {
  return Array.from({ length: Math.floor(flat.length / size) }, (_, group) =>
    flat.slice(group * size, (group + 1) * size),
  );
}

function clockOf(entry: string): number {
  return Number(entry.slice(0, entry.indexOf("-")));
}

function payloadBytesOf(envelope: string): number {
  return Buffer.byteLength(envelope.slice(envelope.indexOf("\n") + 1));
}
