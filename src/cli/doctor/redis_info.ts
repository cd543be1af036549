/**
 * What INFO of a Redis says is wrong with it for what it is used for. Pure: texts in, findings out. Asking is redis.ts; what a queue needs
 * besides is store/queue/redis_dangers.ts', which workers say at their start too.
 */
import { dangersOf, fieldOf } from "../../store/queue/redis_dangers.ts";

/** How the URL says that it is reached. */
export type Form = "server" | "sentinel" | "cluster";

export interface ServerFacts {
  /** The answer to INFO. */
  readonly info: string;
  readonly form: Form;
  readonly isQueue: boolean;
  /** Milliseconds that each of some pings took. */
  readonly roundTrips: readonly number[];
}

/** Since then XAUTOCLAIM passes over what was deleted, and a script may ask what its user may do. */
const versionMin = [7, 0] as const;
/** A tenth of what --cache-timeout gives a step, and more than a query takes in a database next door. */
const roundTripMillisecondsMax = 5;
/** Of maxmemory. */
const fullShare = 0.9;

export function versionOf(info: string): string {
  return fieldOf(info, "redis_version") ?? "of unknown version";
}

export function isVersionTooOld(info: string): boolean {
  const [major = 0, minor = 0] = versionOf(info).split(".").map(Number);
  return major < versionMin[0] || (major === versionMin[0] && minor < versionMin[1]);
}

export function serverFindings(facts: ServerFacts): readonly string[] {
  const { info, isQueue } = facts;
  return [
    ...versionFindings(info),
    ...formFindings(facts),
    ...memoryFindings(facts),
    ...diskFindings(info),
    ...(isQueue ? dangersOf(info) : []),
    ...latencyFindings(facts),
  ];
}

function versionFindings(info: string): readonly string[] {
  if (!isVersionTooOld(info)) return [];
  return [`it is Redis ${versionOf(info)}, expected ${versionMin.join(".")} or later\n  Fix: upgrade it`];
}

/** A server that is part of something bigger answers as if it were alone, until it does not. */
function formFindings({ info, form }: ServerFacts): readonly string[] {
  const [mode, role, replicas] = ["redis_mode", "role", "connected_slaves"].map((name) => fieldOf(info, name));
  if (mode === "sentinel")
    return ["it is a Sentinel, which keeps no data\n  Fix: redis+sentinel://A:26379,B:26379,C:26379/NAME"];
  if (mode === "cluster" && form !== "cluster")
    return [
      "it is one server of a Cluster, which has some of the keys only\n  Fix: redis+cluster://A:6379,B:6379,C:6379",
    ];
  if (role === "slave")
    return [
      `it is a replica of ${fieldOf(info, "master_host")}:${fieldOf(info, "master_port")}, and refuses writes\n` +
        "  Fix: name the primary, or Sentinels that know it: redis+sentinel://A:26379,B:26379,C:26379/NAME",
    ];
  if (form !== "server" && replicas === "0")
    return ["it has no replica: what it keeps is away when it is\n  Fix: bring its replica back (INFO replication)"];
  return [];
}

function memoryFindings({ info, isQueue }: ServerFacts): readonly string[] {
  const [most, used] = ["maxmemory", "used_memory"].map((name) => Number(fieldOf(info, name) ?? 0)) as [number, number];
  if (most === 0 || fieldOf(info, "maxmemory_policy") !== "noeviction") return [];
  if (!isQueue)
    return [
      "it refuses sessions and cached values when its memory is full: maxmemory-policy is noeviction\n" +
        "  Fix: CONFIG SET maxmemory-policy allkeys-lru",
    ];
  if (used < most * fullShare) return [];
  return [
    `it is ${Math.round((used / most) * 100)} % full (${used} of ${most} bytes), and refuses jobs once it is full\n` +
      "  Fix: CONFIG SET maxmemory, more workers, or scale jobs discard",
  ];
}

/** By default a server that cannot save refuses writes. */
function diskFindings(info: string): readonly string[] {
  const failed = ["rdb_last_bgsave_status", "aof_last_write_status"].filter((name) => fieldOf(info, name) === "err");
  return failed.map((name) => `it cannot write to its disk (${name}: err)\n  Fix: look at its log, and at df`);
}

/** By the quickest: a busy machine makes some of them slow, distance all. */
function latencyFindings({ roundTrips }: ServerFacts): readonly string[] {
  const quickest = Math.min(...roundTrips);
  if (roundTrips.length === 0 || quickest <= roundTripMillisecondsMax) return [];
  return [
    `a ping takes ${quickest.toFixed(1)} ms at best, expected at most ${roundTripMillisecondsMax}: so does each look-up in the cache\n` +
      "  Fix: run it where the applications run",
  ];
}
