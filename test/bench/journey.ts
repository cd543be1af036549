// The guide's claims on a million posts, each printed as before → after: what a growing service does about its database, in the order in
// which it hurts. Every number is of requests to role app, before a real PostgreSQL and Redis.

import { openSql } from "../../src/store/sql/sql.ts";
import { eventually } from "../harness/eventually.ts";
import { metric } from "../harness/metrics.ts";
import { type PostgresCluster, startPostgres, startReplica } from "../harness/postgres.ts";
import { runScale, type ScaleProcess, startScale } from "../harness/process.ts";
import { startRedis } from "../harness/redis.ts";
import { atADistance } from "./journey/distance.ts";

export const about = "the guide's claims on 1,000,000 posts, before → after  [--posts=1000000]";

const entry = `${import.meta.dir}/journey/entry.ts`;
const oneWayMilliseconds = 1;

/** One line of the table, and whether it is what the guide promises. */
interface Step {
  readonly what: string;
  readonly before: string;
  readonly after: string;
  readonly holds: boolean;
}

export async function run(args: readonly string[]): Promise<boolean> {
  const posts = Number(args.find((arg) => arg.startsWith("--posts="))?.slice(8) ?? 1_000_000);
  await using cleanUp = new AsyncDisposableStack();
  const primary = await startPostgres({ shared_buffers: "512MB" });
  cleanUp.defer(() => primary.remove());
  const redis = await startRedis();
  cleanUp.defer(() => redis.remove());
  const databaseUrl = await primary.createDatabase();
  say(`filling ${posts} posts …`);
  const filled = await runScale(["migrate", `--demo-data=users:10000,posts:${posts}`], {
    env: { DATABASE_URL: databaseUrl },
  });
  if (filled.code !== 0) throw new Error(filled.stderr);

  const stores = { DATABASE_URL: databaseUrl, REDIS_URL: redis.url };
  const steps: Step[] = [];
  steps.push(await joined(primary, databaseUrl, stores));
  {
    await using app = await startScale(["--role=app", entry, "--drain-delay=0"], { env: stores });
    steps.push(...(await indexed(app, databaseUrl)));
    steps.push(...(await cached(app)));
  }
  steps.push(...(await replicated(primary, databaseUrl, stores)));
  print(steps);
  return steps.every(({ holds }) => holds);
}

/** 100 posts with their authors, from a database on another machine: what costs is the number of journeys. */
async function joined(primary: PostgresCluster, databaseUrl: string, stores: Stores): Promise<Step> {
  const distance = atADistance(primary.port, oneWayMilliseconds);
  const env = { ...stores, DATABASE_URL: databaseUrl.replace(`:${primary.port}/`, `:${distance.port}/`) };
  await using app = await startScale(["--role=app", entry, "--drain-delay=0"], { env });
  const [slow, right] = [await latency(app, "/n-plus-one", 20), await latency(app, "/join", 20)];
  await app.stop();
  distance.stop();
  const what = `100 posts with authors, a database ${2 * oneWayMilliseconds} ms away: 101 statements → 1 JOIN`;
  return { what, before: ms(slow), after: ms(right), holds: slow > 10 * right };
}

/** An author's posts, with the index taken away and given back. */
async function indexed(app: ScaleProcess, databaseUrl: string): Promise<Step[]> {
  const sql = openSql(databaseUrl, { applicationName: "journey", poolMax: 1, statementTimeout: 0 });
  const execute = (text: string) => sql.session((session) => session.script(text));
  const cost = async () => {
    const [row] = await sql.query<{ "QUERY PLAN": readonly { readonly Plan: Plan }[] }>({
      text: "explain (format json) select id, title from posts where author_id = 42",
      parameters: [],
    });
    return row!["QUERY PLAN"][0]!.Plan;
  };
  await execute("drop index idx_posts_author_id");
  const [slow, slowPlan] = [await latency(app, "/by-author/42", 10), await cost()];
  await execute("create index idx_posts_author_id on posts (author_id, created_at desc, id desc); analyze posts");
  const [quick, quickPlan] = [await latency(app, "/by-author/42", 50), await cost()];
  await sql.close();
  const plan = (of: Plan) => `${of["Total Cost"].toFixed(0)} (${of.Plans?.[0]?.["Node Type"] ?? of["Node Type"]})`;
  return [
    { what: "an author's posts: no index → index", before: ms(slow), after: ms(quick), holds: slow > 5 * quick },
    {
      what: "  its plan's cost",
      before: plan(slowPlan),
      after: plan(quickPlan),
      holds: slowPlan["Total Cost"] > 20 * quickPlan["Total Cost"],
    },
  ];
}

interface Plan {
  readonly "Node Type": string;
  readonly "Total Cost": number;
  readonly Plans?: readonly Plan[];
}

/** The twenty most viewed posts. */
async function cached(app: ScaleProcess): Promise<Step[]> {
  const requests = 500;
  const statements = () => metric(app.adminUrl, "sql_statements_total");
  const counted = async (path: string) => {
    const before = await statements();
    const median = await latency(app, path, requests);
    return { median, statements: (await statements()) - before };
  };
  const [direct, kept] = [await counted("/popular"), await counted("/popular-cached")];
  const share = 1 - kept.statements / direct.statements;
  return [
    {
      what: "popular posts: database (by an index, on this machine) → cache",
      before: ms(direct.median),
      after: ms(kept.median),
      holds: kept.median < 1.2 * direct.median,
    },
    {
      what: `  statements for ${requests} requests (${(100 * share).toFixed(1)} % fewer)`,
      before: String(direct.statements),
      after: String(kept.statements),
      holds: share >= 0.99,
    },
  ];
}

/** Who answers reads. More servers on the same two cores are no faster; what matters is that the primary is left to its writes. */
async function replicated(primary: PostgresCluster, databaseUrl: string, stores: Stores): Promise<Step[]> {
  const reads = 3_000;
  const alone = await sharesOf(stores, primary, 0, reads);
  await using cleanUp = new AsyncDisposableStack();
  const replicas = await Promise.all([startReplica(primary), startReplica(primary)]);
  for (const replica of replicas) cleanUp.defer(() => replica.remove());
  const urls = replicas.map(({ port }) => databaseUrl.replace(`:${primary.port}/`, `:${port}/`));
  const spread = await sharesOf({ ...stores, REPLICA_URL: urls.join(" ") }, primary, replicas.length, reads);
  return [
    {
      what: "reads on the primary: one server → primary and two replicas",
      before: percent(alone.primary),
      after: percent(spread.primary),
      holds: alone.primary > 0.99 && spread.primary < 0.05,
    },
    {
      what: "  the busiest server's share of the reads",
      before: percent(alone.busiest),
      after: percent(spread.busiest),
      holds: spread.busiest < 0.6,
    },
  ];
}

async function sharesOf(env: Stores, primary: PostgresCluster, replicas: number, reads: number) {
  await using app = await startScale(["--role=app", entry, "--drain-delay=0"], { env });
  if (replicas > 0)
    await eventually(async () => (await metric(app.adminUrl, "sql_replica_readable")) === replicas, {
      what: "the replicas",
    });
  const servers = async () => countsByServer(await (await fetch(`${app.adminUrl}/metrics`)).text());
  const before = await servers();
  for (let n = 0; n < reads; n += 30)
    await Promise.all(
      Array.from({ length: 30 }, async (_, k) => (await fetch(`${app.url}/users/${n + k + 1}`)).text()),
    );
  const after = await servers();
  const counts = Array.from(after, ([server, count]) => [server, count - (before.get(server) ?? 0)] as const);
  const sum = counts.reduce((total, [, count]) => total + count, 0);
  const own = counts.find(([server]) => server.endsWith(`:${primary.port}`))?.[1] ?? 0;
  return { primary: own / sum, busiest: Math.max(...counts.map(([, count]) => count)) / sum };
}

function countsByServer(text: string): ReadonlyMap<string, number> {
  const lines = text.matchAll(/^sql_statements_total\{server="([^"]+)"\} (\d+)$/gm);
  return new Map(Array.from(lines, ([, server, count]) => [server!, Number(count)]));
}

type Stores = { readonly [name: string]: string };

/** Median over so many requests, one after the other, in milliseconds; the first few do not count. */
async function latency(app: ScaleProcess, path: string, requests: number): Promise<number> {
  const times: number[] = [];
  for (let n = -3; n < requests; n++) {
    const startedAt = performance.now();
    const response = await fetch(`${app.url}${path}`);
    await response.text();
    if (!response.ok) throw new Error(`${path} answered ${response.status}`);
    if (n >= 0) times.push(performance.now() - startedAt);
  }
  return times.toSorted((a, b) => a - b)[times.length >> 1]!;
}

function print(steps: readonly Step[]): void {
  const width = Math.max(...steps.map(({ what }) => what.length));
  say(`\n${"".padEnd(width)}  ${"before".padStart(18)}  ${"after".padStart(18)}`);
  for (const { what, before, after, holds } of steps)
    say(`${what.padEnd(width)}  ${before.padStart(18)}  ${after.padStart(18)}${holds ? "" : "  NOT AS PROMISED"}`);
}

function ms(value: number): string {
  return `${value.toFixed(value < 10 ? 2 : 0)} ms`;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(0)} %`;
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
