/**
 * The module "scale": everything an application may import, and nothing else of scale. scale.d.ts is its contract; what each name
 * does is in the file it comes from. Role app and role worker provide it to the entry under the name "scale".
 */
import type * as contract from "scale";

import { requestContext } from "./runtime/context.ts";

/** Types the routes' parameters; the definition itself is returned. */
export const app: typeof contract.app = (definition) => definition;

export const request: typeof contract.request = () => requestContext("request()");

export { cache } from "./runtime/cache.ts";
export { HttpError } from "./runtime/http_error.ts";
export { job } from "./runtime/jobs.ts";
export { limit } from "./runtime/limit.ts";
export { log } from "./runtime/log.ts";
export { metrics } from "./runtime/metrics.ts";
export { schedule } from "./runtime/schedule.ts";
export { session } from "./runtime/session.ts";
export { sql } from "./runtime/sql.ts";
export { Discard, RetryAfter, Snooze } from "./runtime/verbs.ts";
