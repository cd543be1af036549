/**
 * A Redis Cluster of three primaries, each with a replica, on loopback, behind a password. Impatient: a primary that is silent for a second
 * and a half is replaced. Made by hand, because `redis-cli --cluster create` pauses for seconds.
 * Invariant: as in redis.ts, none of them outlives the test process.
 */
import type { Redis } from "ioredis";

import { freePorts } from "../../src/io/free_port.ts";
import { eventually } from "./eventually.ts";
import { type RedisServer, startRedis } from "./redis.ts";

export interface RedisClusterServers {
  /** redis+cluster://… of three of the six, with the password in it. */
  readonly url: string;
  /** The server that has the key's slot now, as any other says. */
  primaryOf(key: string): Promise<RedisServer>;
  /** Begins to move the key's slot to another primary, where new keys go from here on; what it returns moves the others and ends it. */
  beginMove(key: string): Promise<() => Promise<void>>;
  /** Has that server change places with its replica; resolves once all know. */
  handOver(key: string): Promise<void>;
  /** SIGKILL to that server; resolves once all others know that its replica has taken its place. */
  failOver(key: string): Promise<void>;
  /** A client of every server that runs, each of which the caller disconnects. */
  clients(): Redis[];
  remove(): Promise<void>;
}

const password = "harness@cluster";
const primariesCount = 3;
const membersCount = 2 * primariesCount;
const slotsCount = 16_384;

let shared: Promise<RedisClusterServers> | undefined;

/** That of this test process, for tests that leave it as it is. */
export function sharedRedisCluster(): Promise<RedisClusterServers> {
  shared ??= startRedisCluster();
  return shared;
}

export async function startRedisCluster(): Promise<RedisClusterServers> {
  // All at once: of ports asked for one after the other, before any server listens, two may be the same.
  const ports = freePorts(2 * membersCount);
  const servers = await Promise.all(
    ports.slice(0, membersCount).map((port, index) => startMember(port, ports[membersCount + index]!)),
  );
  const alive = new Set(servers);
  const clients = servers.map(({ server }) => server.client());
  await join(servers, clients);
  for (const client of clients) client.disconnect();
  const all = servers.map(({ server }) => server);
  const ask = async <T>(question: (client: Redis) => Promise<T>): Promise<T[]> => {
    const asked = [...alive].map(({ server }) => server.client());
    try {
      return await Promise.all(asked.map(question));
    } finally {
      for (const client of asked) client.disconnect();
    }
  };
  const ownersOf = async (key: string) => {
    const ports = await ask(async (client) =>
      ownerIn(await client.cluster("SLOTS"), await client.cluster("KEYSLOT", key)),
    );
    return new Set(ports);
  };
  const primaryOf = async (key: string) => {
    const [port] = await ownersOf(key);
    return all.find((server) => server.port === port)!;
  };
  const url = `redis+cluster://:${encodeURIComponent(password)}@${all
    .slice(0, 3)
    .map(({ port }) => `127.0.0.1:${port}`)
    .join(",")}`;
  const untilReplaced = (key: string, { port }: RedisServer) =>
    eventually(
      async () => {
        const owners = await ownersOf(key);
        return owners.size === 1 && !owners.has(port) && (await ask(isOk)).every(Boolean);
      },
      { timeout: 30_000, what: "a new primary that everybody knows" },
    );
  return {
    url,
    primaryOf,
    beginMove: async (key) => {
      const [from, to] = [await primaryOf(key), all[(all.indexOf(await primaryOf(key)) + 1) % primariesCount]!];
      return beginMove(key, from, to, ask);
    },
    handOver: async (key) => {
      const before = await primaryOf(key);
      await ask(async (client) => {
        const info = await client.info("replication");
        if (info.includes(`master_port:${before.port}\r`)) await client.cluster("FAILOVER");
      });
      await untilReplaced(key, before);
    },
    failOver: async (key) => {
      const before = await primaryOf(key);
      for (const member of alive) if (member.server === before) alive.delete(member);
      await before.kill();
      await untilReplaced(key, before);
    },
    clients: () => [...alive].map(({ server }) => server.client()),
    remove: async () => {
      await Promise.all(all.map((server) => server.remove()));
    },
  };
}

type Ask = <T>(question: (client: Redis) => Promise<T>) => Promise<T[]>;

async function beginMove(key: string, from: RedisServer, to: RedisServer, ask: Ask): Promise<() => Promise<void>> {
  const [source, target] = [from.client(), to.client()];
  const slot = await source.cluster("KEYSLOT", key);
  const [sourceId, targetId] = [await source.cluster("MYID"), await target.cluster("MYID")];
  await target.cluster("SETSLOT", slot, "IMPORTING", sourceId);
  await source.cluster("SETSLOT", slot, "MIGRATING", targetId);
  return async () => {
    const keys = await source.cluster("GETKEYSINSLOT", slot, 100);
    if (keys.length > 0) await source.migrate("127.0.0.1", to.port, "", 0, 5_000, "AUTH", password, "KEYS", ...keys);
    for (const client of [target, source]) await client.cluster("SETSLOT", slot, "NODE", targetId);
    source.disconnect();
    target.disconnect();
    await eventually(
      async () => new Set(await ask(async (client) => ownerIn(await client.cluster("SLOTS"), slot))).size === 1,
    );
  };
}

interface Member {
  readonly server: RedisServer;
  readonly busPort: number;
}

async function startMember(port: number, busPort: number): Promise<Member> {
  const server = await startRedis({
    port: String(port),
    "cluster-enabled": "yes",
    "cluster-port": String(busPort),
    "cluster-node-timeout": "1500",
    // A replica that was cut off may take over too: these are cut off by being started.
    "cluster-replica-validity-factor": "0",
    "repl-diskless-sync-delay": "0",
    // A replica is told of once it has received something.
    "repl-ping-replica-period": "1",
    requirepass: password,
    masterauth: password,
  });
  return { server, busPort };
}

/** The first half become primaries, the others their replicas. */
async function join(members: readonly Member[], clients: readonly Redis[]): Promise<void> {
  const share = Math.ceil(slotsCount / primariesCount);
  for (const [index, client] of clients.entries()) {
    await client.cluster("SET-CONFIG-EPOCH", index + 1);
    const first = index * share;
    if (index < primariesCount) await client.cluster("ADDSLOTSRANGE", first, Math.min(slotsCount, first + share) - 1);
    for (const { server, busPort } of members.slice(0, index))
      await client.call("CLUSTER", "MEET", "127.0.0.1", String(server.port), String(busPort));
  }
  const ids = await Promise.all(clients.map((client) => client.cluster("MYID")));
  const everybody = (what: string, holds: (client: Redis) => Promise<boolean>) =>
    eventually(async () => (await Promise.all(clients.map(holds))).every(Boolean), { timeout: 30_000, what });
  await everybody("servers that know each other", async (client) => {
    const nodes = String(await client.cluster("NODES"));
    return ids.every((id) => nodes.includes(id)) && !nodes.includes("handshake");
  });
  await Promise.all(clients.slice(primariesCount).map((client, index) => client.cluster("REPLICATE", ids[index]!)));
  await everybody("a whole Cluster", async (client) => (await isOk(client)) && (await hasReplicas(client)));
  await everybody(
    "replicas in step",
    async (client) => !(await client.info("replication")).includes("link_status:down"),
  );
}

async function isOk(client: Redis): Promise<boolean> {
  return (await client.cluster("INFO")).includes("cluster_state:ok");
}

type Range = readonly [
  first: number,
  last: number,
  ...servers: (readonly [host: string, port: number, ...unknown[]])[],
];

async function hasReplicas(client: Redis): Promise<boolean> {
  const ranges: readonly Range[] = await client.cluster("SLOTS");
  return ranges.length === primariesCount && ranges.every(([, , ...servers]) => servers.length === 2);
}

function ownerIn(ranges: readonly Range[], slot: number): number | undefined {
  return ranges.find(([first, last]) => slot >= first && slot <= last)?.[2]?.[1];
}
