/**
 * Role worker: an application's jobs. A table of contents: open, consume, be ready; closing is the same backwards. The walk of one
 * job is consumer.ts.
 */
import type { Config } from "../src/config/options.ts";
import { version } from "../src/config/version.ts";
import { type Readiness, startAdmin } from "../src/ops/admin.ts";
import { Lifecycle } from "../src/ops/lifecycle.ts";
import { log } from "../src/ops/log.ts";
import { publishProcessMetrics } from "../src/ops/process_metrics.ts";
import { announce } from "../src/ops/run_dir.ts";
import type { Application } from "../src/runtime/entry.ts";
import { type JobDefinition, jobTable, queueDefault } from "../src/runtime/jobs.ts";
import {
  closeStores,
  connectStores,
  openStores,
  queueStore,
  queueUrlOf,
  storePlaces,
  type Stores,
  storeStates,
} from "../src/runtime/runtime.ts";
import { scheduleTable } from "../src/runtime/schedule.ts";
import { statementShapes } from "../src/runtime/statements.ts";
import { messageOf, ScaleError } from "../src/std/errors.ts";
import type { Queue } from "../src/store/queue/queue.ts";
import { QueueConsumer } from "./consumer.ts";
import { Heartbeat, type Notice } from "./heartbeat.ts";
import { countBlocked, publishJobMetrics, setDepth } from "./job_metrics.ts";
import { jobsPages } from "./jobs_page.ts";
import { followOrders, tidy } from "./orders.ts";
import { relayOptions, relayOutbox } from "./outbox_relay.ts";
import { promoteJobs, reclaimLeases } from "./reclaim.ts";
import { repeat } from "./repeat.ts";
import { runSchedules, type SchedulerOptions } from "./schedule.ts";
import { Slots } from "./slots.ts";

/** Time a handler has between being told to stop and being left behind. */
const afterStopMs = 3_000;
/** A consumer that took nothing successfully for this long is not consuming, whatever its socket says. */
const silentMsMax = 6_000;
const depthIntervalMs = 5_000;
const prefetchMin = 64;
const heldBatchMax = 500;

/** Runs jobs until it is told to stop; resolves with the exit code. */
export function run(config: Config, load: () => Promise<Application>): Promise<number> {
  const life = new Lifecycle();
  life.listen({ withParent: config.stopWithParent });
  return life.run(() => start(config, load, life));
}

async function start(config: Config, load: () => Promise<Application>, life: Lifecycle): Promise<void> {
  const instance = config.instance ?? `worker-${process.pid}`;

  const application = await load();
  const definitions = jobTable(application.definition.jobs ?? [], application.source);
  const schedules = await scheduleTable(application.definition.schedules ?? [], definitions, application.source);
  const stores = openStores(config);
  life.onClose("stores", closeStores);
  const queue = queueStore("role worker");
  const slots = new Slots(config.concurrency);
  const owner = `${instance}-${crypto.randomUUID()}`;
  const queues = queuesOf(definitions);
  const prefetchMax = config.prefetch ?? Math.max(prefetchMin, 2 * config.concurrency);
  const heartbeat = startHeartbeat(config, owner, queues, prefetchMax, (notice) => hear(notice, consumers));
  const consumers = queues.map((name, index) => {
    const source = queue.consumer(name, owner);
    return new QueueConsumer({ source, queue: name, definitions, slots, prefetchMax, heartbeat, index });
  });
  life.onClose("heartbeat", () => heartbeat.stop());

  const pages = {
    ...(await jobsPages(queue.inspector, { instance, version, queues, slots })),
    "/statements": { GET: () => Response.json(statementShapes()) },
  };
  const admin = startAdmin(config, () => readiness(life, consumers, heartbeat), pages);
  life.onClose("admin", () => admin.close());
  publishJobMetrics(slots);
  publishProcessMetrics({ version, role: "worker", ready: () => readiness(life, consumers, heartbeat).ready });
  const { address } = admin;
  life.onClose("run directory", announce(config, { pid: process.pid, role: "worker", instance, admin: address }));
  log.info(
    {
      admin: address,
      entry: application.source,
      queues,
      jobs: definitions.size,
    },
    `role worker runs ${definitions.size} kinds of job, ${config.concurrency} at a time`,
  );

  await connectStores(life.draining);
  if (!life.draining.aborted) await warnOfDangers(queue, config.strict);
  if (!life.draining.aborted) await application.definition.onStart?.();
  life.onClose("application", () => application.definition.onStop?.());
  life.onClose("jobs", consume(consumers, config, queue, life.draining));
  relay(stores, config, life);
  fire({ queue, schedules, owner, leaseMs: config.jobLease }, life);
  void repeat("counting jobs", life.draining, () => countDepths(queue, consumers));
  life.ready();
}

/** Where there is a database, transactions may leave something to do. */
function relay(stores: Stores, config: Config, life: Lifecycle): void {
  const options = relayOptions(stores, config.namespace);
  if (options === undefined) return;
  const over = relayOutbox(options, life.draining);
  life.onClose("outbox", () => over);
}

function fire(options: SchedulerOptions, life: Lifecycle): void {
  if (options.schedules.length === 0) return;
  const over = runSchedules(options, life.draining);
  life.onClose("schedules", () => over);
}

/** The queues that jobs name, and the default one, where jobs of other versions may wait. */
function queuesOf(definitions: ReadonlyMap<string, JobDefinition>): readonly string[] {
  return [...new Set([queueDefault, ...Array.from(definitions.values(), (definition) => definition.queue)])];
}

function startHeartbeat(
  config: Config,
  owner: string,
  queues: readonly string[],
  prefetchMax: number,
  onNotice: (notice: Notice) => void,
): Heartbeat {
  const { command, logLevel, logFormat, instance, namespace, jobLease } = config;
  return new Heartbeat({
    url: queueUrlOf(config)!,
    namespace,
    owner,
    queues,
    leaseMs: jobLease,
    // Unfinished ones, as many whose outcome is on its way, and what was taken over meanwhile.
    heldMax: 3 * queues.length * (config.concurrency + Math.max(1, prefetchMax)),
    log: { command, logLevel, logFormat, instance },
    onNotice,
  });
}

function hear(notice: Notice, consumers: readonly QueueConsumer[]): void {
  if (notice.kind === "blocked") return countBlocked();
  if (notice.kind === "lost") consumers[notice.queue]!.lose(notice.tokens);
  if (notice.kind === "handedBack") consumers[notice.queue]!.handedBack(notice.tokens);
}

/** Starts taking; returns what stops it: the loops, then the jobs, then the leases nobody was told about. */
function consume(
  consumers: readonly QueueConsumer[],
  config: Config,
  { inspector }: Queue,
  draining: AbortSignal,
): () => Promise<void> {
  const gone = new AbortController();
  const following = consumers.map((consumer) => followOrders(consumer, gone.signal));
  const loops = consumers.flatMap((consumer) => [
    consumer.run(draining),
    promoteJobs(consumer, draining),
    reclaimLeases(consumer, config.jobLease, draining),
    tidy(consumer, inspector, draining),
  ]);
  return async () => {
    await Promise.all(loops);
    await Promise.all(consumers.map((consumer) => consumer.drain(config.drainTimeout, afterStopMs)));
    gone.abort();
    await Promise.all(following);
    await Promise.all(consumers.map(handBackUnseen));
  };
}

/** What the store delivered on a connection that broke is leased to us and known to nobody. Without the store, the leases run out. */
async function handBackUnseen({ source, queue }: QueueConsumer): Promise<void> {
  try {
    const unseen = await source.held(heldBatchMax);
    if (unseen.length > 0) log.info({ queue, jobs: unseen.length }, "jobs delivered but never seen are handed back");
    await source.handBack(unseen);
  } catch (error) {
    log.warn({ queue }, `leases are left to run out: ${messageOf(error)}`);
  }
  await source.close();
}

/** What may lose jobs is said once, at start. Throws store_unsafe with --strict. */
async function warnOfDangers(queue: Queue, strict: boolean): Promise<void> {
  const dangers = await queue.dangers().catch((error: unknown) => {
    log.warn({}, `whether the queue's store is set up for a queue is not known: ${messageOf(error)}`);
    return [];
  });
  if (strict && dangers.length > 0) {
    throw new ScaleError("store_unsafe", `the queue's store may lose jobs: ${dangers.join("; ")}`, {
      hint: "without --strict it is a warning",
    });
  }
  for (const danger of dangers) log.warn({}, danger);
}

function readiness(life: Lifecycle, consumers: readonly QueueConsumer[], heartbeat: Heartbeat): Readiness {
  const now = performance.now();
  const silent = consumers.find((consumer) => consumer.silentMs(now) > silentMsMax);
  const ready = life.phase === "ready" && silent === undefined;
  const reason = life.phase === "ready" && silent ? whySilent(silent, heartbeat) : undefined;
  return {
    ready,
    state: life.phase,
    ...(reason === undefined ? {} : { reason }),
    stores: storeStates(),
    places: storePlaces(),
  };
}

function whySilent({ queue }: QueueConsumer, { up }: Heartbeat): string {
  const why = up ? "" : ": its heartbeat is not up, so it takes no job";
  return `queue ${queue} has not been taken from lately${why}`;
}

async function countDepths(queue: Queue, consumers: readonly QueueConsumer[]): Promise<number> {
  for (const consumer of consumers) setDepth(consumer.queue, await queue.inspector.overview(consumer.queue));
  return depthIntervalMs;
}
