/** The operator's side of queues on Redis. The scripts are redis_inspector_scripts.ts, what an operator sees is inspect.ts. */
import type { RedisAccess } from "../redis/connection.ts";
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
import { cancellationsMax, queueFull, type QueueLimits, tooManyCancellations } from "./limits.ts";
import { priorities } from "./priorities.ts";
import {
  clockOf,
  gateFacts,
  inGroups,
  jobInStream,
  leaseFacts,
  memberIn,
  overviewOf,
  parkedJob,
  payloadBytesOf,
} from "./redis_found.ts";
import { gateKeys } from "./redis_gate_scripts.ts";
import * as scripts from "./redis_inspector_scripts.ts";
import { keysOf, numberOfEntry, priorityOf, type QueueKeys, queuesKey, streamKeys, suffixOf } from "./redis_keys.ts";

/** A job that moves while it is steered is looked for again this often. */
const lookupsMax = 5;

export class RedisInspector implements Inspector {
  readonly #redis: RedisAccess;
  readonly #limits: QueueLimits;

  constructor(redis: RedisAccess, limits: QueueLimits) {
    this.#redis = redis;
    this.#limits = limits;
  }

  async queues(): Promise<readonly string[]> {
    const key = queuesKey(this.#limits.namespace);
    const names = await this.#redis.run("list queues", key, (client) => client.smembers(key));
    return names.toSorted();
  }

  async overview(queue: string): Promise<QueueOverview> {
    const all = this.#keys(queue);
    const keys = [all.delayed, all.dead, all.done, all.control, all.counts, all.parkedJobs, ...streamKeys(all)];
    return overviewOf(listOf(await this.#run("count jobs", scripts.overview, keys, [])));
  }

  async page(queue: string, place: Place, cursor: string | undefined, max: number): Promise<Page> {
    const { delayed, delayedJobs, dead, deadJobs, done, doneJobs } = this.#keys(queue);
    switch (place) {
      case "waiting":
      case "running":
        return this.#streamPage(queue, place, cursor, max);
      case "parked":
        return this.#parkedPage(queue, cursor, max);
      case "delayed":
        return this.#sortedPage(queue, place, [delayed, delayedJobs], cursor, max);
      case "dead":
        return this.#sortedPage(queue, place, [dead, deadJobs], cursor, max);
      case "done":
        return this.#sortedPage(queue, place, [done, doneJobs], cursor, max);
    }
  }

  /** The high ones first, then the others. */
  async #streamPage(
    queue: string,
    place: "waiting" | "running",
    cursor: string | undefined,
    max: number,
  ): Promise<Page> {
    if (cursor !== undefined && !/^\d{1,16}-\d{1,16}[hl]?$/.test(cursor)) throw notACursor(cursor);
    const first = cursor === undefined ? 0 : priorities.indexOf(priorityOf(cursor));
    const jobs: StoredJob[] = [];
    for (const [index, priority] of priorities.slice(first).entries()) {
      const { stream, started } = this.#keys(queue).streams[priority];
      const after = index === 0 && cursor !== undefined ? numberOfEntry(cursor) : "";
      const [chosen, keys, size] =
        place === "waiting" ? [scripts.waitingPage, [stream], 3] : [scripts.runningPage, [stream, started], 6];
      const flat = listOf(await this.#run("list jobs", chosen, keys, [max - jobs.length, after]));
      jobs.push(...inGroups(flat, size).map((facts) => jobInStream(queue, place, suffixOf(priority), facts)));
      if (jobs.length >= max) break;
    }
    return this.#pageOf(jobs, max);
  }

  async #parkedPage(queue: string, cursor: string | undefined, max: number): Promise<Page> {
    const { parked, parkedJobs, gated } = this.#keys(queue);
    const after = cursor === undefined ? "" : memberIn(cursor);
    const flat = listOf(await this.#run("list jobs", scripts.parkedPage, [parked, parkedJobs, gated], [max, after]));
    return this.#pageOf(
      inGroups(flat, 4).map((facts) => parkedJob(queue, facts)),
      max,
    );
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

  cursorAfter({ place, entry, atMs, parkedAs }: StoredJob): string {
    if (parkedAs !== undefined) return encodeURIComponent(parkedAs);
    return place === "waiting" || place === "running" ? entry : `${atMs}@${entry}`;
  }

  async find(id: string): Promise<StoredJob | undefined> {
    const queue = queueOfId(id);
    if (queue === undefined) return undefined;
    const all = this.#keys(queue);
    const { delayed, delayedJobs, dead, deadJobs, done, doneJobs, progress, cancel } = all;
    const keys = [delayed, delayedJobs, dead, deadJobs, done, doneJobs, progress, cancel, ...gateKeys(all)];
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
      ...(place === "parked" ? gateFacts(textOf(lease[0])) : {}),
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
    const { delayed, delayedJobs, unique, done, doneJobs, cancel, counts: counted, progress } = keys;
    const { id = job.entry, unique: key = "" } = decodeEnvelope(job.envelope);
    const reply = await this.#run(
      "cancel a job",
      scripts.cancel,
      [delayed, delayedJobs, unique, done, doneJobs, cancel, counted, progress, ...gateKeys(keys)],
      [id, key, this.#limits.completedAge, cancelledRecord(job), cancellationsMax],
    );
    return textOf(reply);
  }

  async #forgetOrder(id: string, outcome: Cancelled): Promise<Cancelled> {
    const queue = queueOfId(id);
    if (queue === undefined) return outcome;
    const { cancel } = this.#keys(queue);
    await this.#redis.run("forget an order", cancel, (client) => client.hdel(cancel, id.slice(queue.length + 1)));
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
    const { delayed, unique } = keys;
    const from = [keys[place], keys[`${place}Jobs`]];
    const reply = await this.#run("retry jobs", scripts.retry, [delayed, unique, ...from, ...gateKeys(keys)], args);
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
    await this.#redis.run("pause the queue", control, (client) => client.hsetnx(control, "paused", String(Date.now())));
  }

  async resume(queue: string): Promise<void> {
    const { control } = this.#keys(queue);
    await this.#redis.run("resume the queue", control, (client) => client.hdel(control, "paused"));
  }

  #keys(queue: string): QueueKeys {
    return keysOf(this.#limits.namespace, queue);
  }

  #run(what: string, chosen: Script, keys: readonly string[], args: readonly ScriptArgument[]): Promise<ScriptReply> {
    return this.#redis.run(what, keys[0]!, (client) => chosen(client, keys, args));
  }
}
