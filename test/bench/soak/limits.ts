// What limits the soak's jobs over the whole fleet, and how many come at a time: in bursts of more than may run, on average of less.

import type { JobOptions } from "scale";

export const limits = {
  /** Enqueued with a key: one at a time of each, in order. */
  in_order: {},
  few: { concurrency: { perJob: 3, perKey: 2 } },
  rated: { rateLimit: { max: 30, per: "1s" } },
  /** Enqueued with a unique key that holds for a time. */
  throttled: {},
} as const satisfies { readonly [kind: string]: JobOptions };

export type Kind = keyof typeof limits;

export const throttledFor = "2s";

export const lines = 20;
export const bursts = {
  few: { everyBatches: 20, jobs: 60 },
  rated: { everyBatches: 50, jobs: 100 },
} as const;
