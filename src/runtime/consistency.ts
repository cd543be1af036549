/**
 * Read your writes, from one request of a client to the next: a small signed token says what the client has been shown and which
 * replica showed it. It travels as a cookie, or as the field Scale-Position for clients that send that field. Which server then
 * answers a statement is store/sql/database.ts'; nothing here is used where there are no replicas.
 *
 * Token: v1.KEY.PIN.TIMELINE.LSN.FLOOR-UNTIL.UNTIL.MAC: the key that chooses the replica, a hash of the replica's name, the position
 * that must be seen and the seconds since the epoch until which it and the token count. One that was not signed here (by
 * none of the keys, in another version) shows nothing of what its client has seen, so that it must see everything there is.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { randomBytes } from "node:crypto";

import { isSameText } from "../std/same_text.ts";
import { formatLsn, parseLsn, type Position } from "../store/sql/position.ts";
import { Reader } from "../store/sql/reader.ts";
import type { Owner, Sql } from "../store/sql/sql.ts";
import { currentContext, type JobContext } from "./context.ts";
import { positionKeys } from "./position_keys.ts";

/** Longer than any replica that is read from may be behind. */
export const tokenSeconds = 60;
/** A client that only reads gets its token anew when half of its time is over. */
const refreshSeconds = tokenSeconds / 2;
const tokenCharactersMax = 256;
const version = "v1";

interface Token {
  readonly key: string;
  readonly pin: string | undefined;
  readonly floor: Position | undefined;
  readonly floorUntil: number;
  readonly until: number;
}

/** What one request or job must see. */
export class Consistency {
  readonly #given: string | undefined;
  readonly #isKnown: boolean;
  #token: Token | undefined;
  #reader: Reader | undefined;
  #keys: readonly string[] = [];

  /** `given` is the client's token; `isKnown`: it has a session, so that its reads are to follow one another. */
  constructor(given: string | undefined, isKnown: boolean) {
    this.#given = given === "" ? undefined : given;
    this.#isKnown = isKnown;
  }

  /** Made when the first statement runs. */
  reader(sql: Sql): Reader {
    this.#keys = positionKeys(sql);
    this.#reader ??= this.#open(sql);
    return this.#reader;
  }

  /** What the response must carry; undefined: nothing has changed. Waits for positions that are on their way. */
  async token(): Promise<string | undefined> {
    const reader = this.#reader;
    if (reader === undefined) return undefined;
    await reader.settled();
    const now = nowSeconds();
    const isDue = this.#token !== undefined && this.#token.until - now < refreshSeconds;
    if (!reader.isChanged && !isDue) return undefined;
    const isRaised = reader.floor !== this.#token?.floor;
    const floorUntil = isRaised ? now + tokenSeconds : (this.#token?.floorUntil ?? 0);
    const key = reader.key ?? newKey();
    return seal({ key, pin: reader.pin, floor: reader.floor, floorUntil, until: now + tokenSeconds }, this.#keys[0]!);
  }

  #open(sql: Sql): Reader {
    if (this.#given === undefined) return new Reader(this.#isKnown ? { key: newKey() } : {});
    const token = open(this.#given, this.#keys);
    if (token === undefined) {
      const reader = new Reader({ key: newKey() });
      reader.mustSee(sql.position());
      return reader;
    }
    const now = nowSeconds();
    const isOver = token.until <= now;
    const floor = token.floorUntil > now ? token.floor : undefined;
    this.#token = { ...token, floor };
    return new Reader({
      key: token.key,
      ...(floor ? { floor } : {}),
      ...(token.pin && !isOver ? { pin: token.pin } : {}),
    });
  }
}

const ofJobs = new WeakMap<JobContext, Reader>();

/** Inside of it reads belong to nobody's request: what they see goes into a cache, for everybody. */
const loading = new AsyncLocalStorage<{ reader?: Reader }>();

/** Runs `load` so that its reads show everything committed before it began: a replica that has not got there yet does not serve them. */
export function seeingEverything<T>(load: () => T): T {
  return loading.run({}, load);
}

/** Whose reads these are: the load's, the request's or the job's; undefined outside of them, and where there is one server only. */
export function currentReader(sql: Sql): Reader | undefined {
  const load = sql.hasReplicas ? loading.getStore() : undefined;
  if (load === undefined) return currentWriter(sql);
  if (load.reader === undefined) {
    load.reader = new Reader();
    load.reader.mustSee(sql.position());
  }
  return load.reader;
}

/** Who waits for a statement that is sent now. Nobody alone for what a cache loads: others wait for it too. */
export function currentOwner(): Owner | undefined {
  const context = currentContext();
  return context === undefined || context.isOver || loading.getStore() !== undefined ? undefined : context;
}

/** Who must see what is written: the request or the job. */
export function currentWriter(sql: Sql): Reader | undefined {
  if (!sql.hasReplicas) return undefined;
  const context = currentContext();
  return context?.kind === "job" ? jobReader(context, sql) : context?.consistency.reader(sql);
}

/** A job sees everything committed before it first asked, whatever enqueued it. */
function jobReader(job: JobContext, sql: Sql): Reader {
  const known = ofJobs.get(job);
  if (known !== undefined) return known;
  const reader = new Reader({ key: job.id });
  reader.mustSee(sql.position());
  ofJobs.set(job, reader);
  return reader;
}

function seal({ key, pin = "", floor, floorUntil, until }: Token, signingKey: string): string {
  const position = floor === undefined ? ["", ""] : [floor.timeline, formatLsn(floor.lsn).replace("/", "-")];
  const text = [version, key, pin, ...position, floorUntil, until].join(".");
  return `${text}.${mac(text, signingKey)}`;
}

function open(given: string, keys: readonly string[]): Token | undefined {
  if (given.length > tokenCharactersMax) return undefined;
  const end = given.lastIndexOf(".");
  const [text, seal] = [given.slice(0, end), given.slice(end + 1)];
  if (!keys.some((one) => isSameText(mac(text, one), seal))) return undefined;
  const [layout, key = "", pin = "", timeline = "", lsn = "", floorUntil, until] = given.split(".");
  if (layout !== version) return undefined;
  const bytes = parseLsn(lsn.replace("-", "/"));
  return {
    key,
    pin: pin === "" ? undefined : pin,
    floor: bytes === undefined ? undefined : { timeline: Number(timeline), lsn: bytes },
    floorUntil: Number(floorUntil),
    until: Number(until),
  };
}

function mac(text: string, signingKey: string): string {
  return new Bun.CryptoHasher("sha256", signingKey).update(text).digest("base64url").slice(0, 22);
}

function newKey(): string {
  return randomBytes(6).toString("base64url");
}

function nowSeconds(): number {
  return Math.floor(Date.now() / 1_000);
}
