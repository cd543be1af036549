/**
 * The stores behind the module "scale" in this process: opened once from the configuration, closed at the end. A store nobody
 * configured is an error only when the application touches it. What is done with the stores is in the files beside this one.
 */
import type { Config } from "../config/options.ts";
import { log } from "../ops/log.ts";
import { collect } from "../ops/metrics.ts";
import { fullJitter } from "../std/backoff.ts";
import { messageOf, ScaleError } from "../std/errors.ts";
import type { Kv } from "../store/kv/kv.ts";
import { openKv } from "../store/kv/open.ts";
import { openQueue, type OpenQueueOptions } from "../store/queue/open.ts";
import type { Queue } from "../store/queue/queue.ts";
import { openSql, type Sql, type SqlOptions } from "../store/sql/sql.ts";
import { configureOutcomes } from "./cache_outcomes.ts";
import { configureCache } from "./cache_store.ts";
import { configurePositionKeys } from "./position_keys.ts";
import { publishSqlMetrics } from "./sql_metrics.ts";
import { configureStatements } from "./statements.ts";

/** What every store can do, whatever it stores. */
interface Store {
  /** Where it is, if that may change. */
  readonly place?: string;
  ping(): Promise<void>;
  close(): Promise<void>;
}

export interface Stores {
  readonly sql?: Sql;
  readonly kv?: Kv;
  readonly queue?: Queue;
}

const probeMilliseconds = 5_000;

let stores: Stores | undefined;
let settings: Pick<Config, "namespace" | "jobPayloadBytesMax"> | undefined;
const states = new Map<string, "connecting" | "up" | "down">();
/** As they were told of last. */
const placesTold = new Map<string, string>();
let prober: ReturnType<typeof setInterval> | undefined;

/** Opens what the configuration names, without waiting for a connection. */
export function openStores(config: Config): Stores {
  configureCache(config);
  configureOutcomes(config);
  configureStatements(config);
  configurePositionKeys(config);
  const cacheUrl = config.cacheUrl ?? config.redisUrl;
  const queueUrl = queueUrlOf(config);
  const { namespace } = config;
  settings = config;
  stores = {
    ...(config.databaseUrl === undefined ? {} : { sql: openSql(config.databaseUrl, sqlOptions(config)) }),
    ...(cacheUrl === undefined
      ? {}
      : { kv: openKv(cacheUrl, { namespace, localBytesMax: config.cacheLocalBytesMax }) }),
    ...(queueUrl === undefined ? {} : { queue: openQueue(queueUrl, queueOptions(config)) }),
  };
  if (stores.sql) publishSqlMetrics(stores.sql);
  for (const name of Object.keys(stores)) states.set(name, "connecting");
  collect("store_up", (report) => {
    for (const [store, state] of states) report({ store }, state === "up" ? 1 : 0);
  });
  return stores;
}

function queueOptions(config: Config): OpenQueueOptions {
  const { namespace, queueDurability: durability } = config;
  // Other commands do not keep what ended, and have no such options.
  if (config.command !== "worker") return { namespace, durability };
  return {
    namespace,
    durability,
    completedMax: config.jobCompletedMax,
    completedAge: config.jobCompletedAge,
    deadLettersMax: config.jobDeadMax,
    deadLettersAge: config.jobDeadAge,
  };
}

/** Where the queue is. */
export function queueUrlOf({ queueUrl, redisUrl }: Pick<Config, "queueUrl" | "redisUrl">): string | undefined {
  return queueUrl ?? redisUrl;
}

function sqlOptions(config: Config): SqlOptions {
  return {
    poolMax: config.sqlPoolMax,
    pipelineMax: config.sqlPipelineMax,
    waitTimeout: config.sqlWaitTimeout,
    statementTimeout: config.sqlStatementTimeout,
    replicaUrls: config.replicaUrl,
    lagMax: config.replicaLagMax,
    applicationName: `scale-${config.command}`,
  };
}

/**
 * Waits until every configured store has answered once, trying for as long as it takes; then keeps probing for /readyz and the
 * metrics. A store that goes away later is reported, and never makes the process unready: one blip must not take every app out.
 */
export async function connectStores(signal: AbortSignal): Promise<void> {
  await Promise.all(entries().map(([name, store]) => connect(name, store, signal)));
  prober = setInterval(() => void Promise.all(entries().map(([name, store]) => probe(name, store))), probeMilliseconds);
  prober.unref();
}

async function connect(name: string, store: Store, signal: AbortSignal): Promise<void> {
  for (let attempt = 1; !signal.aborted && !(await probe(name, store)); attempt++) {
    await Bun.sleep(100 + fullJitter(attempt, 100, 2_000));
  }
}

async function probe(name: string, store: Store): Promise<boolean> {
  const before = states.get(name);
  try {
    await store.ping();
    states.set(name, "up");
    if (before === "down") log.info({ store: name }, `store ${name}: down → up`);
    if (store.place !== undefined && placesTold.get(name) !== store.place) {
      placesTold.set(name, store.place);
      log.info({ store: name, place: store.place }, `store ${name} is at ${store.place}`);
    }
  } catch (error) {
    states.set(name, "down");
    if (before !== "down")
      log.warn({ store: name }, `store ${name}: ${before} → down: ${messageOf(error)}${fixFor(error)}`);
  }
  return states.get(name) === "up";
}

function fixFor(error: unknown): string {
  return error instanceof ScaleError && error.hint !== undefined ? `. Fix: ${error.hint}` : "";
}

function entries(): [string, Store][] {
  return Object.entries(stores ?? {}) as [string, Store][];
}

/** Name → connecting, up or down, for the body of /readyz. */
export function storeStates(): { readonly [store: string]: string } {
  return Object.fromEntries(states);
}

/** Name → where it is, for operators: a service port must not tell it. */
export function storePlaces(): { readonly [store: string]: string } {
  return Object.fromEntries(entries().flatMap(([name, { place }]) => (place === undefined ? [] : [[name, place]])));
}

export async function closeStores(): Promise<void> {
  clearInterval(prober);
  const open = entries();
  stores = undefined;
  states.clear();
  placesTold.clear();
  await Promise.all(open.map(([, store]) => store.close()));
}

/** The database. `asked` names what the application called, for the error where none is configured. */
export function sqlStore(asked: string): Sql {
  return stores?.sql ?? missing(asked, "a database", "--database-url=postgres://… (DATABASE_URL)");
}

/** Whether there is a database to ask. */
export function hasDatabase(): boolean {
  return stores?.sql !== undefined;
}

/** The store of cache, sessions and limits. */
export function kvStore(asked: string): Kv {
  return (
    stores?.kv ?? missing(asked, "a key-value store", "--redis-url=redis://… or file:PATH (REDIS_URL), or --cache-url")
  );
}

export function queueStore(asked: string): Queue {
  return stores?.queue ?? missing(asked, "a queue", "--redis-url=redis://… or file:PATH (REDIS_URL), or --queue-url");
}

/** What the runtime itself goes by, of the configuration the stores were opened with. */
export function runtimeSettings(asked: string): Pick<Config, "namespace" | "jobPayloadBytesMax"> {
  if (settings !== undefined) return settings;
  throw new ScaleError("store_not_configured", `${asked} was called before the application was started`, {
    hint: "call it in a handler, in a job or in onStart",
  });
}

function missing(asked: string, what: string, flag: string): never {
  throw new ScaleError("store_not_configured", `${asked} needs ${what}, and none is configured`, {
    hint: `${flag}; scale dev brings one along`,
  });
}
