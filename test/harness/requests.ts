// The module "scale" as a handler has it, without a server: what one request of a client does, and the cookie it leaves with.

import { log } from "../../src/ops/log.ts";
import { Consistency } from "../../src/runtime/consistency.ts";
import { runIn } from "../../src/runtime/context.ts";
import { formatId, parseId } from "../../src/runtime/session_id.ts";
import type { SessionRules } from "../../src/runtime/session_record.ts";
import { type Caller, SessionState } from "../../src/runtime/session_state.ts";
import { traceOf } from "../../src/std/traceparent.ts";

export const sessionRules: SessionRules = { idle: 60_000, lifetime: 600_000, rotation: 600_000, perUserMax: 100 };

export interface Circumstances {
  readonly rules?: Partial<SessionRules>;
  readonly caller?: Partial<Caller>;
}

/** Runs `body` as one request that came with this session cookie. */
export function asRequest<T>(
  cookie: string | undefined,
  body: (state: SessionState) => Promise<T>,
  { rules, caller }: Circumstances = {},
): Promise<T> {
  const id = cookie === undefined ? undefined : parseId(cookie);
  const who = { ip: "127.0.0.1", userAgent: "", isForeign: false, ...caller };
  const state = new SessionState(id, { ...sessionRules, ...rules }, who);
  const { signal } = new AbortController();
  const url = new URL("http://localhost/");
  const waiting = { signal, left: undefined, isOver: false };
  const request = { id: "r", ip: who.ip, secure: false, url, log, trace: traceOf(undefined), ...waiting };
  const consistency = new Consistency(undefined, id !== undefined);
  return runIn({ kind: "request", ...request, session: state, consistency }, () => body(state));
}

/** The cookie that the request's response sets; an error where it sets none. */
export function cookieOf(state: SessionState): string {
  if (typeof state.cookie !== "string") throw new Error("no cookie was set");
  return state.cookie;
}

/** A client that keeps its cookie, as a browser does. */
export class Browser {
  readonly #circumstances: Circumstances;
  cookie: string | undefined;

  constructor(circumstances: Circumstances = {}, cookie?: string) {
    this.#circumstances = circumstances;
    this.cookie = cookie;
  }

  /** One request. Several may be under way: each comes with the cookie of when it began. */
  ask<T>(body: (state: SessionState) => Promise<T>): Promise<T> {
    return asRequest(
      this.cookie,
      async (state) => {
        const answer = await body(state);
        if (state.cookie !== undefined) this.cookie = state.cookie ?? undefined;
        return answer;
      },
      this.#circumstances,
    );
  }
}

/** The name of the session in the store, of a cookie. */
export function handleOf(cookie: string): string {
  return parseId(cookie)!.handle;
}

/** A cookie for the same session whose secret is another. */
export function withOtherSecret(cookie: string): string {
  return formatId({ handle: handleOf(cookie), secret: "A".repeat(43) });
}
