/** limit(): a token bucket shared by the fleet. The bucket itself is one atomic step of the key-value store. */
import { log } from "../ops/log.ts";
import { messageOf } from "../std/errors.ts";
import { durationOf } from "../std/units.ts";
import { HttpError } from "./http_error.ts";
import { kvStore } from "./runtime.ts";

const keyCharactersMax = 512;
const perMillisecondsMax = 30 * 86_400_000;

/**
 * Takes one token of the bucket `key`, which holds `max` and refills at `max` per `per`. Throws HttpError 429 with Retry-After
 * when it is empty. With the store gone it lets the caller pass, and says so: a limit protects a service, it must not stop it.
 */
export async function limit(key: string, rule: { readonly max: number; readonly per: string | number }): Promise<void> {
  if (key === "" || key.length > keyCharactersMax) {
    throw new RangeError(`limit() got a key of ${key.length} characters, expected 1–${keyCharactersMax}`);
  }
  if (!(rule.max >= 1)) throw new RangeError(`limit("${key}") has max ${rule.max}, expected at least 1`);
  const kv = kvStore("limit()");
  const perMs = durationOf(`the period of limit("${key}")`, rule.per, 1, perMillisecondsMax);
  const taken = await kv.takeToken(`limit:${key}`, { max: rule.max, perMs }).catch((error: unknown) => {
    log.warn({ error }, `limit() lets requests pass, the store does not answer: ${messageOf(error)}`);
    return { allowed: true as const };
  });
  if (taken.allowed) return;
  const seconds = Math.max(1, Math.ceil(taken.retryAfterMs / 1_000));
  throw new HttpError(429, `Too many attempts. Try again in ${seconds} s.`, {
    code: "rate_limited",
    headers: { "retry-after": String(seconds) },
  });
}
