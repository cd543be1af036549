/** How long statements of one server took and waited, and how those ended that nobody waited for, in plain numbers that statements observe into. Publishing them is runtime/sql_metrics.ts. */
import { Histogram } from "../../std/histogram.ts";
import type { AbandonedCounts } from "./abandoned.ts";

/** What the application asked for; a tx lasts from its BEGIN to its end, over all that its body does. */
export type Operation = "read" | "write" | "tx";

export class Timings {
  readonly read = new Histogram();
  readonly write = new Histogram();
  readonly tx = new Histogram();
  /** For a connection, of those that had to. */
  readonly wait = new Histogram();
  readonly abandoned: AbandonedCounts = { unsent: 0, dropped: 0, cancelled: 0, closed: 0 };
}
