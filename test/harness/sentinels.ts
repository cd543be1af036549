/**
 * A primary with two replicas and the three Sentinels that watch over them, on loopback, behind passwords. Impatient: a primary that is
 * silent for two seconds is replaced.
 * Invariant: as in redis.ts, none of them outlives the test process.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";

import { Redis } from "ioredis";

import { freePorts } from "../../src/io/free_port.ts";
import { eventually } from "./eventually.ts";
import { keep, type RedisServer, startRedis } from "./redis.ts";

export interface Sentinels {
  /** redis+sentinel://…, with the password in it. */
  readonly url: string;
  /** The server that the Sentinels call the primary now. */
  primary(): Promise<RedisServer>;
  /**
   * SIGKILL to the primary; resolves once all Sentinels have made another server the primary, with the time (performance.now()) at which the
   * first of them said so.
   */
  failOver(): Promise<number>;
  /** Starts those that were killed again, as replicas; resolves once they have what the primary has. */
  rejoin(): Promise<void>;
  /** The primary's replicas have all there is by now, and get no more of it until it has failed over. */
  cutReplicasOff(): Promise<void>;
  remove(): Promise<void>;
}

const password = "harness@sentinel";
const name = "main";
const quorum = 2;

let shared: Promise<Sentinels> | undefined;

/** Those of this test process, for tests that leave them as they are. */
export function sharedSentinels(): Promise<Sentinels> {
  shared ??= startSentinels();
  return shared;
}

export async function startSentinels(): Promise<Sentinels> {
  const settings = { requirepass: password, masterauth: password, "repl-diskless-sync-delay": "0" };
  const first = await startRedis(settings);
  const replicaof = `127.0.0.1 ${first.port}`;
  const servers = [first, await startRedis({ ...settings, replicaof }), await startRedis({ ...settings, replicaof })];
  const directory = mkdtempSync(`${tmpdir()}/scale-sentinel-`);
  keep(directory);
  const watchers = freePorts(3).map((port) => startSentinel(`${directory}/${port}.conf`, port, first.port));
  const clients = watchers.map(({ port }) => clientOf(port));
  const primary = async () => {
    const port = Number((await factsOf(clients[0]!)).get("port"));
    return servers.find((server) => server.port === port)!;
  };
  const dead: RedisServer[] = [];
  let reconnectReplicas = async (): Promise<unknown> => undefined;
  const everySentinel = (holds: (facts: Facts) => boolean) =>
    eventually(
      async () => {
        const all = await Promise.all(clients.map(factsOf));
        return all.every(holds);
      },
      { timeout: 30_000, what: "what all Sentinels know" },
    );
  await everySentinel((facts) => facts.get("num-slaves") === "2" && facts.get("num-other-sentinels") === "2");
  return {
    url: `redis+sentinel://:${encodeURIComponent(password)}@${watchers.map(({ port }) => `127.0.0.1:${port}`).join(",")}/${name}?sentinel_password=${encodeURIComponent(password)}`,
    primary,
    failOver: async () => {
      const before = await primary();
      await before.kill();
      dead.push(before);
      await reconnectReplicas();
      const isReplaced = (facts: Facts) => facts.get("port") !== String(before.port);
      const announced = await eventually(
        async () => ((await Promise.all(clients.map(factsOf))).some(isReplaced) ? performance.now() : undefined),
        { timeout: 30_000, what: "a Sentinel that names another primary" },
      );
      await everySentinel(isReplaced);
      return announced;
    },
    rejoin: async () => {
      const { port } = await primary();
      for (const server of dead.splice(0)) {
        await server.start({ replicaof: `127.0.0.1 ${port}` });
        await untilLinked(server);
      }
    },
    cutReplicasOff: async () => {
      const upstream = await primary();
      const replicas = servers.filter((server) => server !== upstream);
      const client = upstream.client();
      await client.set("last", "");
      await client.wait(replicas.length, 10_000);
      const setting = (value: string) => Promise.all(replicas.map((server) => configured(server, "masterauth", value)));
      await setting("no longer");
      await client.call("CLIENT", "KILL", "TYPE", "replica");
      client.disconnect();
      reconnectReplicas = () => setting(password);
    },
    remove: async () => {
      for (const client of clients) client.disconnect();
      for (const { server } of watchers) {
        server.kill("SIGKILL");
        await server.exited;
      }
      for (const server of servers) await server.remove();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

type Facts = ReadonlyMap<string, string>;

function clientOf(port: number): Redis {
  const client = new Redis(port, "127.0.0.1", { password, protocol: 2, maxRetriesPerRequest: null });
  client.on("error", () => undefined);
  return client;
}

/** What a Sentinel knows of the primary, from name, value, name, value. */
async function factsOf(client: Redis): Promise<Facts> {
  const flat = (await client.call("SENTINEL", "MASTER", name)) as readonly string[];
  return new Map(flat.flatMap((text, index) => (index % 2 === 0 ? [[text, flat[index + 1]!] as const] : [])));
}

async function untilLinked(replica: RedisServer): Promise<void> {
  const client = replica.client();
  await eventually(async () => (await client.info("replication")).includes("master_link_status:up"));
  client.disconnect();
}

async function configured(server: RedisServer, directive: string, value: string): Promise<void> {
  const client = server.client();
  await client.config("SET", directive, value);
  client.disconnect();
}

/** A Sentinel keeps what it learns in its configuration file, so each has one of its own. */
function startSentinel(path: string, port: number, primaryPort: number) {
  const lines = [
    `port ${port}`,
    "bind 127.0.0.1",
    `requirepass "${password}"`,
    `sentinel sentinel-pass ${password}`,
    `sentinel monitor ${name} 127.0.0.1 ${primaryPort} ${quorum}`,
    `sentinel auth-pass ${name} ${password}`,
    `sentinel down-after-milliseconds ${name} 2000`,
    `sentinel failover-timeout ${name} 10000`,
  ];
  writeFileSync(path, `${lines.join("\n")}\n`);
  const command = ["setpriv", "--pdeathsig=KILL", "redis-server", path, "--sentinel"];
  return { port, server: Bun.spawn(command, { stdio: ["ignore", "ignore", "inherit"] }) };
}
