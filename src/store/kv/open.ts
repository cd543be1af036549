/** From a URL to a Kv. What the drivers do is in redis.ts and sqlite.ts. */
import { ScaleError } from "../../std/errors.ts";
import { redactUrls } from "../../std/redact.ts";
import { isRedisUrl } from "../../std/redis_url.ts";
import type { Kv, KvState } from "./kv.ts";
import { RedisKv } from "./redis.ts";
import { SqliteKv } from "./sqlite.ts";

export interface OpenKvOptions {
  /** Prefix of every key. */
  readonly namespace: string;
  /** Longest wait for one operation. */
  readonly operationTimeoutMs?: number;
  /** Bytes kept in this process, where the cache asks for that. Default 32 MiB. */
  readonly localBytesMax?: number;
  /** Called on every change of state, for the log. */
  readonly onState?: (from: KvState, to: KvState, reason: string) => void;
}

const operationTimeoutMsDefault = 1_000;
const localBytesMaxDefault = 32 * 1024 * 1024;

/** Opens redis://, rediss://, redis+sentinel://, redis+cluster:// or file:PATH. Returns at once: Redis connects in the background, and the first operation waits for it. */
export function openKv(url: string, options: OpenKvOptions): Kv {
  const { namespace, onState } = options;
  const { operationTimeoutMs = operationTimeoutMsDefault, localBytesMax = localBytesMaxDefault } = options;
  if (isRedisUrl(url)) return new RedisKv(url, { namespace, operationTimeoutMs, localBytesMax, onState });
  if (url.startsWith("file:")) return new SqliteKv(url, { namespace });
  throw new ScaleError(
    "configuration_invalid",
    `the store's URL is ${redactUrls(url)}, expected redis://HOST, rediss://HOST, redis+sentinel://A,B,C/NAME, redis+cluster://A,B,C or file:PATH`,
    {
      hint: "--redis-url=redis://127.0.0.1:6379",
    },
  );
}
