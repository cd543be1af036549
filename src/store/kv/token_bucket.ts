/** The token bucket's arithmetic, pure. The Redis driver does the same in Lua, on the server's clock. */
import type { TokenRule, TokenVerdict } from "./kv.ts";

export interface Bucket {
  /** Tokens left at `atMs`, with fractions. */
  readonly tokens: number;
  readonly atMs: number;
}

/** The bucket after one token was asked for. A clock that went backwards adds nothing. */
export function takeFrom(
  bucket: Bucket | null,
  rule: TokenRule,
  nowMs: number,
): { bucket: Bucket; verdict: TokenVerdict } {
  const elapsedMs = bucket === null ? 0 : Math.max(0, nowMs - bucket.atMs);
  const filled = bucket === null ? rule.max : Math.min(rule.max, bucket.tokens + (elapsedMs * rule.max) / rule.perMs);
  if (filled >= 1) return { bucket: { tokens: filled - 1, atMs: nowMs }, verdict: { allowed: true } };
  const retryAfterMs = Math.ceil(((1 - filled) * rule.perMs) / rule.max);
  return { bucket: { tokens: filled, atMs: nowMs }, verdict: { allowed: false, retryAfterMs } };
}
