/**
 * How a session lies in the store: one hash under its handle, whose fields are told here and nowhere else. Two versions of scale may
 * serve side by side: a record of another layout is no session. Reading and writing it is session.ts's.
 *
 *   v  version of this layout            k  hash of the secret that counts          u  the user signed in
 *   c  begun (ms)                        r  since when it does (ms)                 i  address it was last seen from
 *   t  last seen (ms)                    s  salt of the next                        g  user agent it was last seen with
 *   e  epoch: another one as soon as     p  hash of the secret before               :NAME  a field of the application, as JSON
 *      no id from before it counts       q  salt by which k follows from it
 *                                        a  when k was first seen (ms)
 */
import { hashOf, randomText } from "./session_id.ts";

export type Fields = { readonly [field: string]: string };

/** Milliseconds, but for `perUserMax`. */
export interface SessionRules {
  /** A session unused for so long ends. */
  readonly idle: number;
  /** A session so old ends. */
  readonly lifetime: number;
  /** A secret so old is replaced. */
  readonly rotation: number;
  /** Sessions of one user. */
  readonly perUserMax: number;
}

/** Who asks. */
export interface Visitor {
  readonly ip: string;
  readonly userAgent: string;
}

const layoutVersion = "2";
/** Sliding the expiry costs a write; once a minute is often enough. */
const touchMillisecondsMax = 60_000;
const userAgentCharactersMax = 256;

export function keyOf(handle: string): string {
  return `session:${handle}`;
}

/** What a session begins with. */
export function newborn(secret: string, now: number, visitor: Visitor): Fields {
  return { v: layoutVersion, c: String(now), ...newEpoch(secret, now), ...sighting(now, visitor) };
}

/** The fields of a secret that follows from none. */
export function newEpoch(secret: string, now: number): Fields {
  return { e: randomText(), k: hashOf(secret), r: String(now), s: randomText() };
}

/** Fields that end with an epoch. */
export const ofOldEpoch = ["p", "q", "a"];

/** What is noted of a request that uses the session. */
export function sighting(now: number, { ip, userAgent }: Visitor): Fields {
  return { t: String(now), i: ip, g: userAgent.slice(0, userAgentCharactersMax) };
}

export function isSightingDue(fields: Fields, now: number, { idle }: SessionRules): boolean {
  return now - Number(fields["t"]) >= Math.min(touchMillisecondsMax, idle / 4);
}

export function isReadable(fields: Fields): boolean {
  return fields["v"] === layoutVersion;
}

/** What is left of its life in milliseconds, however busy it is; 0 or less: it is over. */
export function lifeLeft(fields: Fields, now: number, lifetime: number): number {
  return Number(fields["c"]) + lifetime - now;
}

/** How long the store keeps it from now: the idle time, but never past the end of its life. */
export function timeToLive(fields: Fields, now: number, { idle, lifetime }: SessionRules): number {
  return Math.max(1, Math.min(idle, lifeLeft(fields, now, lifetime)));
}
