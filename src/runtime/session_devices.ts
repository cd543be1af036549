/**
 * Where a user is signed in: an index of sessions for each user, so that they can be shown and ended together. It names them; what
 * they hold is theirs (session_record.ts). Invariant: a session that has a user is in its index before it has the user. The index may
 * name sessions that are gone: nobody is shown them, and they leave it at a login, once they would have been idle too long or are too many.
 *
 * Fields: "l" lifetime of sessions (ms), ":HANDLE" when that session was last seen (ms), to the minute. Another layout has another key.
 */
import type { Device } from "scale";

import type { Kv } from "../store/kv/kv.ts";
import { type Fields, isReadable, keyOf, lifeLeft, type SessionRules } from "./session_record.ts";

/** Notes a session that the user is about to have. Who has too many is signed out where he was seen the longest ago. */
export async function addDevice(kv: Kv, user: string, handle: string, rules: SessionRules): Promise<void> {
  const now = Date.now();
  const others = handlesOf(await kv.hashGetAll(indexOf(user))).filter((entry) => entry.handle !== handle);
  const live = others.filter(({ seen }) => now - seen <= rules.idle);
  const kept = new Set(live.slice(0, rules.perUserMax - 1));
  const gone = others.filter((entry) => !kept.has(entry)).map((entry) => entry.handle);
  if (gone.length > 0) await kv.delete(gone.map(keyOf));
  await note(kv, user, { handle, now, gone }, rules);
}

/** Notes that a session was used. Written whole, so that an index that the store has lost comes back. */
export async function seeDevice(kv: Kv, user: string, handle: string, rules: SessionRules): Promise<void> {
  await note(kv, user, { handle, now: Date.now(), gone: [] }, rules);
}

/** The user's sessions, last seen first. */
export async function devicesOf(kv: Kv, user: string, current?: string): Promise<readonly Device[]> {
  const index = await kv.hashGetAll(indexOf(user));
  const entries = handlesOf(index);
  const records = await Promise.all(entries.map(({ handle }) => kv.hashGetAll(keyOf(handle))));
  const lifetime = lifetimeOf(index);
  return entries
    .flatMap(({ handle }, position) => {
      const fields = records[position];
      const isOpen = fields && isReadable(fields) && fields["u"] === user && lifeLeft(fields, Date.now(), lifetime) > 0;
      return isOpen ? [deviceOf(handle, fields, handle === current)] : [];
    })
    .toSorted((one, other) => other.seen.getTime() - one.seen.getTime());
}

/** Ends one of the user's sessions. False where no session of that user has this handle. */
export async function endDevice(kv: Kv, user: string, handle: string): Promise<boolean> {
  const index = await kv.hashGetAll(indexOf(user));
  if (index?.[`:${handle}`] === undefined) return false;
  await end(kv, user, [handle], lifetimeOf(index));
  return true;
}

/** Ends the user's sessions, all or all but one. */
export async function endDevices(kv: Kv, user: string, kept?: string): Promise<void> {
  const index = await kv.hashGetAll(indexOf(user));
  const handles = handlesOf(index).map(({ handle }) => handle);
  const ended = handles.filter((handle) => handle !== kept);
  if (ended.length > 0) await end(kv, user, ended, lifetimeOf(index));
}

/** The sessions first: what is named and gone does no harm, what is there and not named does. */
async function end(kv: Kv, user: string, handles: readonly string[], lifetime: number): Promise<void> {
  await kv.delete(handles.map(keyOf));
  await kv.hashWrite(indexOf(user), { delete: handles.map(fieldOf) }, lifetime);
}

interface Note {
  readonly handle: string;
  readonly now: number;
  readonly gone: readonly string[];
}

async function note(kv: Kv, user: string, { handle, now, gone }: Note, { lifetime }: SessionRules): Promise<void> {
  const set = { l: String(lifetime), [fieldOf(handle)]: String(now) };
  await kv.hashWrite(indexOf(user), { set, delete: gone.map(fieldOf) }, lifetime);
}

function indexOf(user: string): string {
  return `sessions-of:${user}`;
}

function fieldOf(handle: string): string {
  return `:${handle}`;
}

/** Last seen first. */
function handlesOf(index: Fields | null): { readonly handle: string; readonly seen: number }[] {
  return Object.entries(index ?? {})
    .filter(([field]) => field.startsWith(":"))
    .map(([field, seen]) => ({ handle: field.slice(1), seen: Number(seen) }))
    .toSorted((one, other) => other.seen - one.seen);
}

/** Of the sessions that the index names, and so of the index. */
function lifetimeOf(index: Fields | null): number {
  return Number(index?.["l"] ?? 0);
}

function deviceOf(id: string, fields: Fields, isCurrent: boolean): Device {
  return {
    id,
    isCurrent,
    begun: new Date(Number(fields["c"])),
    seen: new Date(Number(fields["t"])),
    ip: fields["i"] ?? "",
    userAgent: fields["g"] ?? "",
  };
}
