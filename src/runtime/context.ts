/**
 * What is being served, found from anywhere below a handler: a request or a job. Ambient through AsyncLocalStorage, so that nothing
 * is passed through the application. Setting it is app/handle.ts's and worker/executor.ts's.
 */
import { AsyncLocalStorage } from "node:async_hooks";

import type { Log } from "../ops/log.ts";
import { ScaleError } from "../std/errors.ts";
import type { Trace } from "../std/traceparent.ts";
import type { Owner } from "../store/sql/sql.ts";
import type { Consistency } from "./consistency.ts";
import type { SessionState } from "./session_state.ts";

/** What is served waits for the statements it sends, until it is over. */
interface Waiting extends Owner {
  /** It is known here that it is over: what it still sends is its cleaning up. */
  readonly isOver: boolean;
}

export interface RequestContext extends Waiting {
  readonly kind: "request";
  readonly id: string;
  readonly ip: string;
  readonly secure: boolean;
  readonly url: URL;
  readonly signal: AbortSignal;
  readonly log: Log;
  readonly trace: Trace;
  readonly session: SessionState;
  readonly consistency: Consistency;
}

export interface JobContext extends Waiting {
  readonly kind: "job";
  readonly id: string;
  readonly attempt: number;
  readonly signal: AbortSignal;
  readonly log: Log;
  readonly trace: Trace;
}

export type Context = RequestContext | JobContext;

const storage = new AsyncLocalStorage<Context>();

/** Runs `body` as the given request or job. */
export function runIn<T>(context: Context, body: () => T): T {
  return storage.run(context, body);
}

export function currentContext(): Context | undefined {
  return storage.getStore();
}

/** The request being served. Throws where there is none, naming what was asked for. */
export function requestContext(asked: string): RequestContext {
  const context = storage.getStore();
  if (context?.kind === "request") return context;
  throw new ScaleError(
    "internal",
    `${asked} was called ${context ? "in a job" : "outside a request"}; it belongs to the request being served`,
    {
      hint: "read what you need in the handler and pass it in the job's payload",
    },
  );
}
