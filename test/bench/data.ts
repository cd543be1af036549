// What role app adds to a handler that asks the database or the cache: against the same handler written by hand on Bun.serve, and against
// Fastify and pg on Node, on one PostgreSQL and one Redis, in alternating rounds. Ratios count; absolute times are noise.

import { freePorts } from "../../src/io/free_port.ts";
import { openSql } from "../../src/store/sql/sql.ts";
import { scaleBinary } from "../harness/binary.ts";
import { eventually } from "../harness/eventually.ts";
import { startPostgres } from "../harness/postgres.ts";
import { runScale } from "../harness/process.ts";
import { startRedis } from "../harness/redis.ts";
import { temporaryDirectory } from "../harness/temporary.ts";
import { type Case, compare, type Comparison, type Sample } from "./proxy/compare.ts";
import type { Proxy } from "./proxy/peers.ts";
import { load } from "./proxy/wrk.ts";

export const about =
  "role app with database and cache against a hand-written handler and Fastify  [--rounds=5] [--seconds=2] [--only=/PATH]";

const connections = 64;
const databaseOperationsMin = 10_000;

/** Most that scale may take, as a multiple of the peer: of CPU, or of the time a request takes at full load (the inverse of its rate). */
const comparisons: readonly Comparison[] = [
  {
    title: "a user from the cache",
    unit: "µs CPU",
    rate: "requests/s",
    ratiosMax: { bare: 1.25 },
    cases: [byCpu("/cached/7")],
  },
  {
    title: "100 joined rows, decoded and encoded",
    unit: "µs CPU",
    rate: "requests/s",
    ratiosMax: { fastify: 0.85 },
    cases: [byCpu("/posts")],
  },
  {
    title: "100 joined rows, decoded and encoded: time",
    unit: "µs",
    rate: "requests/s",
    ratiosMax: { fastify: 1 },
    cases: [byRate("/posts")],
  },
  {
    title: "100 joined rows as JSON that PostgreSQL builds: time",
    unit: "µs",
    rate: "requests/s",
    ratiosMax: { fastify: 1 / 1.5 },
    cases: [byRate("/posts", "/posts-json")],
  },
  {
    title: "a user from the database: time",
    unit: "µs",
    rate: "requests/s",
    ratiosMax: { fastify: 1 / 1.8 },
    cases: [byRate("/users/7")],
  },
  {
    title: "TechEmpower's shapes: time",
    unit: "µs",
    rate: "requests/s",
    ratiosMax: { bare: 1 / 0.9 },
    cases: [byRate("/db"), byRate("/queries"), byRate("/fortunes")],
  },
];

export async function run(args: readonly string[]): Promise<boolean> {
  const number = (name: string, otherwise: number) =>
    Number(args.find((arg) => arg.startsWith(`--${name}=`))?.slice(name.length + 3) ?? otherwise);
  const pace = { rounds: number("rounds", 5), seconds: number("seconds", 2) };
  await using cleanUp = new AsyncDisposableStack();
  const primary = await startPostgres();
  cleanUp.defer(() => primary.remove());
  const redis = await startRedis();
  cleanUp.defer(() => redis.remove());
  const env = { DATABASE_URL: await primary.createDatabase(), REDIS_URL: redis.url };
  await fill(env.DATABASE_URL);
  const sides = [
    cleanUp.use(await startScaleSide(env)),
    cleanUp.use(await startSide("bare", [process.execPath, `${import.meta.dir}/data/bare.ts`], env)),
    cleanUp.use(await startSide("fastify", ["node", `${import.meta.dir}/data/fastify.mjs`], env)),
  ];
  const only = args.find((arg) => arg.startsWith("--only="))?.slice("--only=".length);
  let holds = true;
  for (const each of comparisons) {
    const cases = each.cases.filter(({ name }) => only === undefined || name === only);
    if (cases.length > 0) holds = (await compare({ ...each, cases }, sides, pace)) && holds;
  }
  return (await enoughOperations(sides[0]!, pace.seconds)) && holds;
}

/** Database operations a second through role app: twenty statements a request. */
async function enoughOperations(scale: Proxy, seconds: number): Promise<boolean> {
  const { perSecond } = await load(scale, { path: "/queries", connections, seconds: 2 * seconds });
  const operations = 20 * perSecond;
  const holds = operations >= databaseOperationsMin;
  process.stdout.write(
    `\n${operations.toFixed(0)} database operations/s through role app (at least ${databaseOperationsMin})${holds ? "" : "  MISSED"}\n`,
  );
  return holds;
}

function byCpu(path: string): Case {
  return {
    name: path,
    take: (side, seconds) => sample(side, path, seconds, (cpu, requests) => (cpu / requests) * 1e6),
  };
}

/** `own`: where scale answers it otherwise. */
function byRate(path: string, own = path): Case {
  const take = async (side: Proxy, seconds: number): Promise<Sample> => {
    const { perSecond } = await sample(side, side.name === "scale" ? own : path, seconds, () => 0);
    return { value: 1e6 / perSecond, perSecond };
  };
  return { name: own, take };
}

async function sample(
  side: Proxy,
  path: string,
  seconds: number,
  value: (cpuSeconds: number, requests: number) => number,
): Promise<Sample> {
  const { requests, perSecond, cpuSeconds } = await load(side, { path, connections, seconds });
  return { value: value(cpuSeconds, requests), perSecond };
}

async function fill(databaseUrl: string): Promise<void> {
  const filled = await runScale(["migrate", "--demo-data=users:1000,posts:20000"], {
    env: { DATABASE_URL: databaseUrl },
  });
  if (filled.code !== 0) throw new Error(filled.stderr);
  const sql = openSql(databaseUrl, { applicationName: "bench", poolMax: 1, statementTimeout: 0 });
  await sql.session((session) =>
    session.script(`
      create table world (id int primary key, randomnumber int not null);
      insert into world select n, 1 + floor(random() * 10000) from generate_series(1, 10000) n;
      create table fortune (id int primary key, message text not null);
      insert into fortune select n, 'fortune <' || n || '> & so on' from generate_series(1, 12) n;
      analyze`),
  );
  await sql.close();
}

type Environment = { readonly [name: string]: string };

async function startScaleSide(env: Environment): Promise<Proxy> {
  const directory = temporaryDirectory("bench");
  const [port] = freePorts(1);
  const flags = [
    "--role=app",
    `${import.meta.dir}/data/entry.ts`,
    `--listen=127.0.0.1:${port}`,
    `--run-dir=${directory}/run`,
  ];
  const log = Bun.file(`${directory}/scale.log`);
  return started("scale", [await scaleBinary(), ...flags], env, log, () => Promise.resolve(port!));
}

function startSide(name: string, command: readonly string[], env: Environment): Promise<Proxy> {
  return started(name, command, env, "pipe", async (stdout) => {
    const { value } = await stdout!.getReader().read();
    return Number(new TextDecoder().decode(value).trim());
  });
}

async function started(
  name: string,
  command: readonly string[],
  env: Environment,
  stdout: "pipe" | Bun.BunFile,
  portOf: (stdout: ReadableStream<Uint8Array> | undefined) => Promise<number>,
): Promise<Proxy> {
  const child = Bun.spawn(["setpriv", "--pdeathsig=KILL", ...command], {
    env: { PATH: process.env["PATH"] ?? "", ...env },
    stdout,
    stderr: "inherit",
  });
  const url = `http://127.0.0.1:${await portOf(typeof child.stdout === "object" ? child.stdout : undefined)}/`;
  await eventually(async () => (await fetch(`${url}${name === "fastify" ? "users/7" : "db"}`)).ok, { what: name });
  const end = async (): Promise<void> => {
    child.kill("SIGTERM");
    await child.exited;
  };
  return { name, url, pids: () => [child.pid], [Symbol.asyncDispose]: end };
}
