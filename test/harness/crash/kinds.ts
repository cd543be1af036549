// The jobs of a crash run, and what limits each over the whole fleet. Their handler is scenario/fixtures/effect.ts.

import type { JobOptions } from "scale";

export const kinds = {
  free: {},
  /** Enqueued with a key: one at a time of each, in order. */
  in_order: { concurrency: 6 },
  /** Enqueued in bursts of more than it lets begin at once, and on average of less. */
  rated: { rateLimit: { max: 20, per: "500ms" } },
} as const satisfies { readonly [kind: string]: JobOptions };

export type Kind = keyof typeof kinds;
