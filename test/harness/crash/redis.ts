// The Redis that a crash run kills, in each of the ways that say what may be lost with it. What was lost is judge.ts'.

import type { Redis } from "ioredis";

import { startRedis } from "../redis.ts";
import { startSentinels } from "../sentinels.ts";

/** What is left of what was acknowledged when it is killed is said at each. */
export const redisForms = {
  /** All of it: every command is in the file before it is answered. */
  "append-only": "it comes back with its file",
  /** Nothing. */
  forgetful: "it comes back empty",
  /** What the replica that is promoted had received. */
  "sentinel-memory": "a replica takes its place, which may lack what was acknowledged last",
  /** All of it: an enqueue is acknowledged once a replica has it. */
  "sentinel-replicas": "a replica takes its place, which has what was acknowledged",
} as const;

export type RedisForm = keyof typeof redisForms;

/** How long a replica may be behind its primary here, where both have nothing else to do. */
export const replicaLagMsMax = 1_000;

export interface CrashRedis {
  readonly url: string;
  /** Of the producers. */
  readonly durability: "memory" | "replicas";
  /** SIGKILL; resolves with its process id once it is back, after so long, or another has taken its place. */
  kill(awayMs: number): Promise<number>;
  /** Of the one that answers now; the caller disconnects it. */
  client(): Promise<Redis>;
  remove(): Promise<void>;
}

export async function startCrashRedis(form: RedisForm): Promise<CrashRedis> {
  return form === "append-only" || form === "forgetful" ? alone(form) : watched(form);
}

async function alone(form: RedisForm): Promise<CrashRedis> {
  const server = await startRedis(form === "append-only" ? { appendonly: "yes", appendfsync: "always" } : {});
  return {
    url: server.url,
    durability: "memory",
    kill: async (awayMs) => {
      const pid = server.pid();
      await server.kill();
      await Bun.sleep(awayMs);
      await server.start();
      return pid;
    },
    client: async () => server.client(),
    remove: () => server.remove(),
  };
}

async function watched(form: RedisForm): Promise<CrashRedis> {
  const sentinels = await startSentinels();
  return {
    url: sentinels.url,
    durability: form === "sentinel-replicas" ? "replicas" : "memory",
    kill: async () => {
      const pid = (await sentinels.primary()).pid();
      await sentinels.failOver();
      await sentinels.rejoin();
      return pid;
    },
    client: async () => (await sentinels.primary()).client(),
    remove: () => sentinels.remove(),
  };
}
