/** From a URL to a Queue. What the drivers do is in redis.ts and sqlite.ts. */
import { ScaleError } from "../../std/errors.ts";
import { redactUrls } from "../../std/redact.ts";
import { isRedisUrl } from "../../std/redis_url.ts";
import type { QueueLimits } from "./limits.ts";
import type { Queue } from "./queue.ts";
import { RedisQueue } from "./redis.ts";
import { SqliteQueue } from "./sqlite.ts";

export type OpenQueueOptions = Pick<QueueLimits, "namespace" | "onState"> &
  Partial<Omit<QueueLimits, "namespace" | "onState">>;

/** What a process that only enqueues or looks goes by; role worker's options set the others. */
const usual = {
  jobsMax: 5_000_000,
  deadLettersMax: 10_000,
  deadLettersAge: 30 * 86_400_000,
  completedMax: 1_000,
  completedAge: 86_400_000,
  durability: "memory",
} satisfies Partial<QueueLimits>;

/** Opens redis://, rediss://, redis+sentinel://, redis+cluster:// or file:PATH. Returns at once: Redis connects in the background, and the first operation waits for it. */
export function openQueue(url: string, options: OpenQueueOptions): Queue {
  const limits = { ...usual, ...options };
  if (isRedisUrl(url)) return new RedisQueue(url, limits);
  if (url.startsWith("file:")) {
    if (limits.durability === "replicas") throw noReplicas();
    return new SqliteQueue(url, limits);
  }
  throw new ScaleError(
    "configuration_invalid",
    `the queue's URL is ${redactUrls(url)}, expected redis://HOST, rediss://HOST, redis+sentinel://A,B,C/NAME, redis+cluster://A,B,C or file:PATH`,
    { hint: "--redis-url=redis://127.0.0.1:6379" },
  );
}

function noReplicas(): ScaleError {
  return new ScaleError(
    "configuration_invalid",
    "--queue-durability is replicas, and the queue is a file on this machine",
    {
      hint: "--queue-url=redis://… with a replica, or --queue-durability=memory",
    },
  );
}
