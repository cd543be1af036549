// Jobs under steady mixed load for as long as one likes: nothing lost, nothing run too often, no tick missed, limits kept, and the memory of every
// process and of Redis flat. What the load is made of is soak/entry.ts; killing things is crash.ts.

import postgres from "postgres";

import { eventually } from "../harness/eventually.ts";
import { startPostgres } from "../harness/postgres.ts";
import { residentBytes } from "../harness/proc.ts";
import { runScale, type ScaleProcess, startScale } from "../harness/process.ts";
import { startRedis } from "../harness/redis.ts";
import type { Batch } from "./soak/batch.ts";
import { limitsKept } from "./soak/kept.ts";
import { type Sample, trendOf } from "./soak/memory.ts";

export const about =
  "jobs under steady mixed load: nothing lost, limits kept, memory flat  [--minutes=30] [--per-second=10]";

const entry = `${import.meta.dir}/soak/entry.ts`;
/** What the queue keeps of these, with its defaults: from then on, what is forgotten makes up for what comes. */
const movedKept = 50_000;
const deadKept = 10_000;
/** Share of the time after which memory is measured: until then compilers and caches are still at work. */
const warmUpShare = 0.25;
const sampleIntervalMs = 2_000;
const lookIntervalMs = 500;
const restMsMax = 300_000;
const shownMax = 5;
const tickPrefix = "default:tick-";
/** By how much memory may seem to grow over the time measured. */
const grownBytesMax = { process: 16 * 2 ** 20, redis: 4 * 2 ** 20 } as const;

interface Part {
  readonly name: string;
  readonly kind: keyof typeof grownBytesMax;
  readonly bytes: () => Promise<number> | number;
  readonly samples: Sample[];
}

/** Job → how often it must have begun. */
type Expected = Map<string, number>;

export async function run(args: readonly string[]): Promise<never> {
  const numberOf = (name: string, otherwise: number) =>
    Number(args.find((arg) => arg.startsWith(`--${name}=`))?.slice(name.length + 3) ?? otherwise);
  const holds = await soak(numberOf("minutes", 30) * 60_000, numberOf("per-second", 10));
  // The harness keeps what a suite shares for as long as this process lives.
  process.exit(holds ? 0 : 1);
}

async function soak(forMs: number, batchesPerSecond: number): Promise<boolean> {
  await using cleanUp = new AsyncDisposableStack();
  const database = await startPostgres({ autovacuum: "on" });
  cleanUp.defer(() => database.remove());
  const redis = await startRedis({ appendonly: "yes" });
  cleanUp.defer(() => redis.remove());
  const env = { DATABASE_URL: await database.createDatabase(), REDIS_URL: redis.url };
  const migrated = await runScale(["migrate", entry], { env });
  if (migrated.code !== 0) throw new Error(migrated.stderr);
  const options = { env, scope: "file", expectErrors: [/it always does/] } as const;
  const quiet = ["--log-level=error", "--access-log=off"];
  const app = cleanUp.use(await startScale(["--role=app", entry, "--drain-delay=0", ...quiet], options));
  const workers: ScaleProcess[] = [];
  for (const _ of [1, 2]) workers.push(cleanUp.use(await startScale(["--role=worker", entry, ...quiet], options)));
  const client = redis.client();
  cleanUp.defer(() => client.disconnect());
  const parts: Part[] = [
    part("app", () => residentBytes(app.pid)),
    ...workers.map(({ pid }, index) => part(`worker ${index + 1}`, () => residentBytes(pid))),
    { ...part("redis", async () => memoryOf(await client.info("memory"))), kind: "redis" },
  ];

  const sql = postgres(env.DATABASE_URL, { max: 1, onnotice: () => undefined });
  cleanUp.defer(() => sql.end());
  const expected: Expected = new Map();
  note(expected, await post(app, `/fill/${movedKept}/${deadKept}`));
  await atRest(sql, expected);
  const failed = await load(app, expected, parts, forMs, batchesPerSecond);
  await atRest(sql, expected);
  const kept = await limitsKept(sql);
  say(kept.summary);
  const complaints = [...failed, ...(await account(sql, expected)), ...kept.complaints, ...print(parts)];
  for (const complaint of complaints) say(`✗ ${complaint}`);
  return complaints.length === 0;
}

/** Requests at a steady rate, and samples of memory beside them. Returns what went wrong. */
async function load(
  app: ScaleProcess,
  expected: Expected,
  parts: readonly Part[],
  forMs: number,
  perSecond: number,
): Promise<string[]> {
  const startedAt = performance.now();
  const pending = new Set<Promise<void>>();
  const failures: string[] = [];
  const sampling = setInterval(() => void sample(parts, startedAt, forMs), sampleIntervalMs);
  for (let number = 0; performance.now() - startedAt < forMs; number++) {
    const one = post(app, `/batch/${number}`).then(
      (batch) => note(expected, batch),
      (error: unknown) => void failures.push(String(error)),
    );
    pending.add(one);
    void one.finally(() => pending.delete(one));
    await Bun.sleep(Math.max(0, startedAt + ((number + 1) * 1_000) / perSecond - performance.now()));
  }
  clearInterval(sampling);
  await Promise.all(pending);
  return failures.length === 0 ? [] : [`${failures.length} requests failed, the first: ${failures[0]}`];
}

async function sample(parts: readonly Part[], startedAt: number, forMs: number): Promise<void> {
  const elapsedMs = performance.now() - startedAt;
  if (elapsedMs < forMs * warmUpShare) return;
  for (const { bytes, samples } of parts) samples.push({ at: elapsedMs / 1_000, bytes: await bytes() });
}

async function post(app: ScaleProcess, path: string): Promise<Batch> {
  const response = await fetch(`${app.url}${path}`, { method: "POST" });
  if (!response.ok) throw new Error(`${path} answered ${response.status}: ${await response.text()}`);
  return (await response.json()) as Batch;
}

function note(expected: Expected, { once, twice, never }: Batch): void {
  for (const id of once) expected.set(id, 1);
  for (const id of twice) expected.set(id, 2);
  for (const id of never) expected.set(id, 0);
}

/** Waits until every handler has run as often as it must. */
async function atRest(sql: postgres.Sql, expected: Expected): Promise<void> {
  const wanted = [...expected.values()].reduce((sum, times) => sum + times, 0);
  const ran = async () => {
    await Bun.sleep(lookIntervalMs);
    const [row] = await sql<[{ times: number }]>`
      select coalesce(sum(times), 0)::int as times from effect where job not like ${`${tickPrefix}%`}`;
    return row.times >= wanted;
  };
  await eventually(ran, { timeout: restMsMax, what: `${wanted} runs of handlers` }).catch(
    // What is missing is told by account().
    (error: unknown) => say(String(error)),
  );
}

/** What PostgreSQL knows of effects, against what must be there. */
async function account(sql: postgres.Sql, expected: Expected): Promise<string[]> {
  const rows = await sql<{ job: string; times: number }[]>`select job, times from effect`;
  const times = new Map(rows.map((row) => [row.job, row.times]));
  const ticks = [...times.keys()].filter((id) => id.startsWith(tickPrefix));
  const wrong = [...expected].filter(([id, wanted]) => (times.get(id) ?? 0) !== wanted);
  const unknown = [...times.keys()].filter((id) => !expected.has(id) && !id.startsWith(tickPrefix));
  const at = ticks.map((id) => Number(id.slice(tickPrefix.length)) / 1_000);
  const missed = Math.max(...at) - Math.min(...at) + 1 - ticks.length;
  const again = ticks.filter((id) => times.get(id) !== 1).length;
  say(`${expected.size} jobs, ${ticks.length} ticks`);
  return [
    ...wrong.slice(0, shownMax).map(([id, wanted]) => `${id} ran ${times.get(id) ?? 0} times, not ${wanted}`),
    ...(wrong.length > shownMax ? [`and ${wrong.length - shownMax} more like these`] : []),
    ...(unknown.length > 0 ? [`${unknown.length} jobs ran that nobody was told of: ${unknown[0]}`] : []),
    ...(missed > 0 ? [`${missed} ticks did not run`] : []),
    ...(again > 0 ? [`${again} ticks ran more than once`] : []),
  ];
}

/** The table. Returns what grew. */
function print(parts: readonly Part[]): string[] {
  const mib = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MiB`.padStart(11);
  say(`${"memory".padEnd(10)}${"first fifth".padStart(12)}${"last fifth".padStart(12)}${"slope".padStart(12)}`);
  return parts.flatMap(({ name, kind, samples }) => {
    const { firstBytes, lastBytes, grownBytes } = trendOf(samples);
    const most = grownBytesMax[kind];
    say(`${name.padEnd(10)} ${mib(firstBytes)} ${mib(lastBytes)} ${mib(grownBytes)}  (at most ${mib(most).trim()})`);
    return grownBytes <= most ? [] : [`${name} grew by ${mib(grownBytes).trim()}`];
  });
}

function part(name: string, bytes: Part["bytes"]): Part {
  return { name, kind: "process", bytes, samples: [] };
}

function memoryOf(info: string): number {
  return Number(/used_memory:(\d+)/.exec(info)?.[1]);
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
