/**
 * The periodic change of a session's secret, as a verdict on what the store has and what a request brings. No clock, no store.
 *
 *      settled ──older than rotation──▶ offered ──the new one is brought──▶ taken ──graceMilliseconds──▶ settled
 *
 *   settled   one secret counts.
 *   offered   the new one and the one before both count, and whoever brings the one before is given the new one, the same each time:
 *             a response that never arrived, or could carry no cookie, signs nobody out.
 *   taken     the client has the new one; the one before counts on for requests that were under way.
 *
 * At login, logout and renew() nothing is offered: the secret before is worth nothing at once (session.ts).
 */
import { isSameText } from "../std/same_text.ts";
import { hashOf, randomText, successorOf } from "./session_id.ts";
import type { Fields } from "./session_record.ts";

export const graceMilliseconds = 10_000;

/** What the bringer of a secret is to the session, with what is to be written and which secret he is to be given. */
export type Verdict =
  | { readonly isOwner: false }
  | {
      readonly isOwner: true;
      readonly set?: Fields;
      readonly delete?: readonly string[];
      readonly give?: string;
    };

type State = "settled" | "offered" | "taken";

function stateOf(fields: Fields, now: number): State {
  const { p: before, a: takenAt } = fields;
  if (before === undefined) return "settled";
  if (takenAt === undefined) return "offered";
  return now - Number(takenAt) < graceMilliseconds ? "taken" : "settled";
}

/** `rotation` in milliseconds. */
export function judge(fields: Fields, secret: string, now: number, rotation: number): Verdict {
  const state = stateOf(fields, now);
  const hash = hashOf(secret);
  if (isSameText(hash, fields["k"] ?? "")) return current(fields, state, secret, now, rotation);
  const isBefore = state !== "settled" && isSameText(hash, fields["p"] ?? "");
  if (!isBefore) return { isOwner: false };
  return state === "offered" ? { isOwner: true, give: successorOf(secret, fields["q"] ?? "") } : { isOwner: true };
}

function current(fields: Fields, state: State, secret: string, now: number, rotation: number): Verdict {
  if (state === "offered") return { isOwner: true, set: { a: String(now) } };
  if (state === "taken" || now - Number(fields["r"]) < rotation) return { isOwner: true };
  const { k: hash = "", s: salt = "" } = fields;
  const give = successorOf(secret, salt);
  const set = { k: hashOf(give), r: String(now), s: randomText(), p: hash, q: salt };
  return { isOwner: true, set, delete: ["a"], give };
}
