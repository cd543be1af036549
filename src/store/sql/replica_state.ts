/**
 * Whether a replica may be read from. Pure: a state and what a poll said give the next state; polling is replica.ts'.
 *
 *     joining ──fresh──▶ in ──lag over the limit, failure × 3──▶ out ──fresh × 4, lag under half the limit──▶ in
 *        └──────────────── lag over the limit, failure × 3 ──────▲
 *
 * A replica that falls behind and catches up again and again must not be picked and dropped at the rhythm of the polls: coming back
 * takes longer than leaving, and asks for more.
 */
import type { Position } from "./position.ts";

export type Poll =
  | { readonly kind: "answer"; readonly position: Position; readonly lagMilliseconds: number }
  | { readonly kind: "failure"; readonly reason: string };

export interface ReplicaState {
  readonly phase: "joining" | "in" | "out";
  /** As of the last answer: it has replayed at least this. */
  readonly position: Position | undefined;
  readonly lagMilliseconds: number;
  /** In a row. */
  readonly failures: number;
  readonly fresh: number;
  /** Why it is out. */
  readonly reason: string | undefined;
}

const failuresMax = 3;
const freshToReturn = 4;

export const unknownReplica: ReplicaState = {
  phase: "joining",
  position: undefined,
  lagMilliseconds: 0,
  failures: 0,
  fresh: 0,
  reason: undefined,
};

export function afterPoll(state: ReplicaState, poll: Poll, lagMillisecondsMax: number): ReplicaState {
  return poll.kind === "failure"
    ? afterFailure(state, poll.reason)
    : afterAnswer({ ...state, position: poll.position, lagMilliseconds: poll.lagMilliseconds }, lagMillisecondsMax);
}

function afterFailure(state: ReplicaState, reason: string): ReplicaState {
  const failures = Math.min(state.failures + 1, failuresMax);
  const isOut = state.phase === "out" || failures >= failuresMax;
  return { ...state, failures, fresh: 0, ...(isOut ? { phase: "out", reason } : {}) };
}

function afterAnswer(state: ReplicaState, lagMillisecondsMax: number): ReplicaState {
  const { phase, lagMilliseconds } = state;
  if (lagMilliseconds > lagMillisecondsMax) {
    const reason = `it is ${Math.round(lagMilliseconds)} ms behind, more than ${lagMillisecondsMax}`;
    return { ...state, phase: "out", failures: 0, fresh: 0, reason };
  }
  const isFresh = phase !== "out" || lagMilliseconds <= lagMillisecondsMax / 2;
  const fresh = isFresh ? Math.min(state.fresh + 1, freshToReturn) : 0;
  const isIn = phase !== "out" || fresh >= freshToReturn;
  return { ...state, failures: 0, fresh, ...(isIn ? { phase: "in", reason: undefined } : {}) };
}
