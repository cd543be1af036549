// A whole system of real processes: stores, applications, balancer, workers, as `cluster({ lb: [3, 1], worker: 1, stores: "real" })`.
// Invariant: every part is an ordinary role with ordinary flags; closing stops them in the order an operator would.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { eventually } from "./eventually.ts";
import { currentScope } from "./leaks.ts";
import { createDatabase } from "./postgres.ts";
import { runScale, type ScaleProcess, startScale } from "./process.ts";
import { freshNamespace, sharedRedis } from "./redis.ts";

export interface ClusterOptions {
  /** A private PostgreSQL and Redis, or the embedded PostgreSQL and SQLite files. */
  readonly stores: "real" | "embedded";
  /** Weight of each application behind the balancer. Default: two equal ones. */
  readonly weights?: readonly number[];
  /** Number of workers. Default 1. */
  readonly workers?: number;
  /** An application's module. Default: the demo of the binary. */
  readonly entry?: string;
  /** Further flags of a role. */
  readonly flags?: {
    readonly lb?: readonly string[];
    readonly app?: readonly string[];
    readonly worker?: readonly string[];
  };
  /** Error lines that the test provokes in applications, workers and balancer. */
  readonly expectErrors?: readonly RegExp[];
}

export interface Cluster extends AsyncDisposable {
  /** The balancer's http://HOST:PORT. */
  readonly url: string;
  readonly lb: ScaleProcess;
  readonly apps: readonly ScaleProcess[];
  readonly workers: readonly ScaleProcess[];
  readonly databaseUrl: string;
  /** Starts an application that was killed again, on its old port; it is in apps at the old place. */
  restartApp(index: number): Promise<ScaleProcess>;
  /** Likewise a worker. */
  restartWorker(index: number): Promise<ScaleProcess>;
}

interface Stores {
  readonly databaseUrl: string;
  readonly env: { readonly [name: string]: string };
  readonly processes: readonly ScaleProcess[];
}

/** Starts it all, migrated and ready: applications before the balancer, because it is told where they listen. */
export async function cluster(options: ClusterOptions): Promise<Cluster> {
  const directory = mkdtempSync(join(tmpdir(), "scale-cluster-"));
  await using undo = new AsyncDisposableStack();
  undo.defer(() => rmSync(directory, { recursive: true, force: true }));
  const stores = options.stores === "real" ? await realStores() : await embeddedStores(directory);
  for (const process of stores.processes) undo.use(process);
  await migrate(options, stores, directory);

  const { weights = [1, 1], workers: count = 1 } = options;
  const start = starter(options, stores, directory);
  const apps = await Promise.all(weights.map((_, index) => start.app(index, "127.0.0.1:0")));
  const workers = await Promise.all(Array.from({ length: count }, (_, index) => start.worker(index)));
  undo.defer(() => stopAll([...apps, ...workers]));
  const lb = undo.use(await start.lb(apps.map((app, index) => `--backend=${hostOf(app)},weight=${weights[index]}`)));
  const round = weights.reduce((sum, weight) => sum + weight, 0);
  await eventually(() => everyAppAnswers(lb.url, apps.length, 2 * round), {
    what: "every application answering through the balancer",
  });

  const running = undo.move();
  return {
    url: lb.url,
    lb,
    apps,
    workers,
    databaseUrl: stores.databaseUrl,
    restartApp: async (index) => {
      await apps[index]?.stop();
      return (apps[index] = await start.app(index, hostOf(apps[index]!)));
    },
    restartWorker: async (index) => {
      await workers[index]?.stop();
      return (workers[index] = await start.worker(index));
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

interface Starter {
  app(index: number, listen: string): Promise<ScaleProcess>;
  worker(index: number): Promise<ScaleProcess>;
  lb(backends: readonly string[]): Promise<ScaleProcess>;
}

/** A flag that the test gives takes the place of ours. */
function starter({ entry, flags = {}, expectErrors = [] }: ClusterOptions, stores: Stores, cwd: string): Starter {
  // What a test starts again lives as long as the cluster, which may be shared by the tests of a file.
  const scope = currentScope();
  const start = (role: "lb" | "app" | "worker", ours: readonly string[], env: Stores["env"]) => {
    const given = flags[role] ?? [];
    const names = new Set(given.map((flag) => flag.split("=")[0]));
    const application = role === "lb" || entry === undefined ? [] : [entry];
    const kept = ours.filter((flag) => !names.has(flag.split("=")[0]));
    return startScale([`--role=${role}`, ...application, ...kept, ...given], { env, cwd, expectErrors, scope });
  };
  return {
    app: (index, listen) =>
      start("app", [`--instance=app-${index + 1}`, `--listen=${listen}`, "--served-by", "--drain-delay=0"], stores.env),
    worker: (index) => start("worker", [`--instance=worker-${index + 1}`], stores.env),
    lb: (backends) => start("lb", ["--health-interval=100ms", ...backends], {}),
  };
}

async function migrate({ entry }: ClusterOptions, { env }: Stores, cwd: string): Promise<void> {
  const { code, stdout, stderr } = await runScale(["migrate", ...(entry === undefined ? [] : [entry])], { env, cwd });
  if (code !== 0) throw new Error(`scale migrate failed with code ${code}: ${stdout}${stderr}`);
}

async function everyAppAnswers(url: string, apps: number, requests: number): Promise<boolean> {
  const names = new Set<string | null>();
  for (let asked = 0; asked < requests; asked++) names.add((await fetch(url)).headers.get("x-served-by"));
  return names.size === apps && !names.has(null);
}

async function realStores(): Promise<Stores> {
  const [databaseUrl, redis] = await Promise.all([createDatabase(), sharedRedis()]);
  const env = { DATABASE_URL: databaseUrl, REDIS_URL: redis.url, SCALE_NAMESPACE: freshNamespace() };
  return { databaseUrl, env, processes: [] };
}

/** What `scale dev` does: PostgreSQL embedded in a process of its own, everything else in one SQLite file. */
async function embeddedStores(directory: string): Promise<Stores> {
  const dataDir = join(directory, "postgres");
  const url = () => readFileSync(join(dataDir, "url"), "utf8").trim();
  const postgres = await startScale(["postgres", `--data-dir=${dataDir}`], { cwd: directory, ready: url });
  const env = { DATABASE_URL: url(), REDIS_URL: `file:${join(directory, "store.sqlite")}` };
  return { databaseUrl: url(), env, processes: [postgres] };
}

function hostOf(app: ScaleProcess): string {
  return new URL(app.url).host;
}

async function stopAll(processes: readonly ScaleProcess[]): Promise<void> {
  const ends = await Promise.allSettled(processes.map((one) => one[Symbol.asyncDispose]()));
  const reasons = ends.flatMap((end) => (end.status === "rejected" ? [String(end.reason)] : []));
  if (reasons.length > 0) throw new Error(reasons.join("\n"));
}
