/**
 * A private PostgreSQL for the tests: initdb into a temporary directory, a free port on loopback, durability off. One cluster serves
 * a whole test process and every test file gets databases of its own from it; a test that breaks its server starts another.
 * Invariant: no server outlives the test process (it is signalled when its parent dies), and none that belongs to the system is used.
 */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";

import postgres from "postgres";

import { freePorts } from "../../src/io/free_port.ts";
import { makeCertificates } from "./certificates.ts";
import { eventually } from "./eventually.ts";
import { temporaryDirectory } from "./temporary.ts";

export interface PostgresCluster {
  /** URL of the maintenance database, with the password. */
  readonly url: string;
  readonly port: number;
  /** The postmaster's process id: kill -9, SIGSTOP. */
  pid(): number;
  /** URL of a new, empty database. */
  createDatabase(): Promise<string>;
  /** Starts the server again on the same port, after a stop or a kill. */
  start(): Promise<void>;
  /** SIGINT: fast shutdown, open sessions are cut. */
  stop(): Promise<void>;
  /** Stops it and removes its directory. */
  remove(): Promise<void>;
}

export interface Replica extends PostgresCluster {
  /** Makes it a primary, on a new timeline. */
  promote(): Promise<void>;
}

type Settings = { readonly [setting: string]: string };

/** Of the user postgres. */
export const password = "harness";
const settings = {
  fsync: "off",
  synchronous_commit: "off",
  full_page_writes: "off",
  autovacuum: "off",
  max_connections: "200",
  shared_buffers: "64MB",
  unix_socket_directories: "",
  listen_addresses: "127.0.0.1",
  log_min_messages: "panic",
  deadlock_timeout: "50ms",
};

let shared: Promise<PostgresCluster> | undefined;
let databases = 0;

/** The cluster of this test process; started at the first call, gone with the process. */
export function sharedPostgres(): Promise<PostgresCluster> {
  shared ??= startPostgres();
  return shared;
}

/** URL of a new, empty database in the shared cluster. */
export async function createDatabase(): Promise<string> {
  return (await sharedPostgres()).createDatabase();
}

/** A cluster of its own, for a test that kills, stops or reconfigures its server. */
export async function startPostgres(extra: Settings = {}): Promise<PostgresCluster> {
  const { directory, data } = newDirectory();
  mkdirSync(data, { mode: 0o700 });
  writeFileSync(`${directory}/password`, password);
  giveToServerUser(directory);
  const access = ["--username=postgres", "--auth=scram-sha-256", `--pwfile=${directory}/password`];
  run(asServerUser([program("initdb"), "-D", data, ...access, "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8"]));
  return serve(directory, data, extra);
}

/** One that has a certificate: sslmode=require in its URL. */
export async function startTlsPostgres(): Promise<PostgresCluster> {
  const directory = temporaryDirectory("certificates");
  makeCertificates(directory);
  giveToServerUser(directory);
  const [ssl_cert_file, ssl_key_file] = [`${directory}/server.pem`, `${directory}/server.key`];
  return startPostgres({ ssl: "on", ssl_cert_file, ssl_key_file });
}

/** A streaming standby of `primary`, which has replayed what the primary has when this resolves, or soon after. */
export async function startReplica(primary: PostgresCluster, extra: Settings = {}): Promise<Replica> {
  const { directory, data } = newDirectory();
  giveToServerUser(directory);
  const backup = [program("pg_basebackup"), "-D", data, "--write-recovery-conf", "--wal-method=stream"];
  run(asServerUser([...backup, "--checkpoint=fast", "--no-sync", `--dbname=${primary.url}`]));
  const cluster = await serve(directory, data, extra);
  return {
    ...cluster,
    promote: () =>
      administer(cluster.url, async (sql) => {
        await sql`select pg_promote()`;
      }),
  };
}

export interface SynchronousPair {
  readonly primary: PostgresCluster;
  readonly standby: Replica;
  /** Names both. */
  readonly url: string;
}

/** A primary that commits only what its standby has: what it acknowledged survives it. */
export async function startSynchronousPair(): Promise<SynchronousPair> {
  const primary = await startPostgres({ synchronous_commit: "on" });
  const standby = await startReplica(primary, { synchronous_commit: "on" });
  await administer(primary.url, async (sql) => {
    await sql.unsafe("alter system set synchronous_standby_names = '*'");
    await sql`select pg_reload_conf()`;
    const inStep = () => sql`select 1 from pg_stat_replication where sync_state = 'sync'`;
    await eventually(async () => (await inStep()).length === 1);
  });
  const url = primary.url.replace(`:${primary.port}/`, `:${primary.port},127.0.0.1:${standby.port}/`);
  return { primary, standby, url };
}

function newDirectory(): { readonly directory: string; readonly data: string } {
  const directory = temporaryDirectory("postgres");
  return { directory, data: `${directory}/data` };
}

async function serve(directory: string, data: string, extra: Settings): Promise<PostgresCluster> {
  const port = freePorts(1)[0]!;
  const url = `postgres://postgres:${password}@127.0.0.1:${port}/postgres`;
  const flags = Object.entries({ ...settings, ...extra, port: String(port) }).flatMap(([k, v]) => ["-c", `${k}=${v}`]);
  const launch = () =>
    Bun.spawn(asServerUser([program("postgres"), "-D", data, ...flags]), { stdio: ["ignore", "ignore", "inherit"] });
  let server = launch();

  const stop = async () => {
    server.kill("SIGINT");
    await server.exited;
  };
  await untilReady(url);
  return {
    url,
    port,
    pid: () => server.pid,
    createDatabase: () => createDatabaseIn(url),
    start: async () => {
      server = launch();
      await untilReady(url);
    },
    stop,
    remove: async () => {
      await stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

async function createDatabaseIn(url: string): Promise<string> {
  const name = `test_${process.pid}_${++databases}`;
  await administer(url, (sql) => sql.unsafe(`create database ${name}`));
  return url.replace(/\/postgres$/, `/${name}`);
}

async function administer(url: string, body: (sql: postgres.Sql) => Promise<unknown>): Promise<void> {
  const sql = postgres(url, { max: 1, fetch_types: false, connect_timeout: 2, onnotice: () => {} });
  try {
    await body(sql);
  } finally {
    await sql.end({ timeout: 1 });
  }
}

const startMilliseconds = 20_000;

/** Resolves when it answers. */
export async function untilReady(url: string): Promise<void> {
  const deadline = performance.now() + startMilliseconds;
  for (;;) {
    try {
      return await administer(url, (sql) => sql.unsafe("select 1"));
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await Bun.sleep(20);
    }
  }
}

function isRoot(): boolean {
  return process.getuid?.() === 0;
}

/** PostgreSQL refuses to run as root. */
function serverUser(): string {
  return Bun.spawnSync(["id", "postgres"]).success ? "postgres" : "nobody";
}

/** Lets the server's user read and write a directory. */
export function giveToServerUser(directory: string): void {
  if (isRoot()) run(["chown", "-R", serverUser(), directory]);
}

/** The command as it is to be run: as an ordinary user, and ended with this process. */
export function asServerUser(command: readonly string[]): string[] {
  if (!isRoot()) return ["setpriv", "--pdeathsig=QUIT", ...command];
  const user = serverUser();
  const group = Bun.spawnSync(["id", "-gn", user]).stdout.toString().trim();
  return ["setpriv", `--reuid=${user}`, `--regid=${group}`, "--clear-groups", "--pdeathsig=QUIT", ...command];
}

/** From the PATH, or the newest of Debian's versions. */
function program(name: string): string {
  const found = Bun.which(name);
  if (found !== null) return found;
  const root = "/usr/lib/postgresql";
  const versions = readdirSync(root).toSorted((a, b) => Number(b) - Number(a));
  const paths = versions.map((version) => `${root}/${version}/bin`).join(":");
  const path = Bun.which(name, { PATH: paths });
  if (path === null)
    throw new Error(`${name} is neither on the PATH nor below ${root}. Fix: apt-get install postgresql`);
  return path;
}

function run(command: readonly string[]): void {
  const done = Bun.spawnSync([...command], { stdio: ["ignore", "ignore", "pipe"], cwd: "/" });
  if (!done.success) throw new Error(`${command.join(" ")} failed: ${done.stderr.toString().trim()}`);
}
