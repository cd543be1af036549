/**
 * The caller's session: a hash in the key-value store under the SHA-256 of a 256-bit random id that only the cookie knows, written
 * field by field, so that two requests at a time do not lose each other's. Idle and absolute expiry; a new id at login.
 * The cookie's name and attributes are session_cookie.ts; putting it on the response is role app's.
 *
 * Fields: "v" version of this layout, "c" created (ms), "t" last touched (ms), "u" the user, ":NAME" an application's field as JSON.
 */
import { randomBytes } from "node:crypto";

import type { Json } from "scale";

import type { HashChange, Kv } from "../store/kv/kv.ts";
import { requestContext } from "./context.ts";
import { HttpError } from "./http_error.ts";
import { assertJson } from "./json_value.ts";
import { kvStore } from "./runtime.ts";

type Fields = { readonly [field: string]: string };

/** Milliseconds. */
export interface SessionRules {
  readonly idle: number;
  readonly lifetime: number;
}

const layoutVersion = "1";
/** Sliding the expiry costs a write; once a minute is often enough. */
const touchMillisecondsMax = 60_000;
const fieldsMax = 100;
const fieldBytesMax = 16 * 1024;

/** The session of one request: what the cookie said, what was loaded, and what the cookie must become. */
export class SessionState {
  readonly #rules: SessionRules;
  /** The request came from another site's page: it may not begin a session, lest somebody be signed in without knowing. */
  readonly #foreign: boolean;
  /** Changes follow one another: two at a time in a request without a session would begin two. */
  #last: Promise<unknown> = Promise.resolve();
  #id: string | undefined;
  #loading: Promise<Fields | null> | undefined;
  /** What the response must say: a new id, null to end the cookie, undefined to leave it. */
  cookie: string | null | undefined;

  constructor(id: string | undefined, rules: SessionRules, foreign = false) {
    this.#id = id;
    this.#rules = rules;
    this.#foreign = foreign;
  }

  async get(field: string): Promise<unknown> {
    const text = (await this.#fields())?.[`:${field}`];
    return text === undefined ? undefined : JSON.parse(text);
  }

  set(field: string, value: Json): Promise<void> {
    return this.#inTurn(async () => {
      assertJson(value, `session field "${field}"`);
      const text = JSON.stringify(value);
      if (Buffer.byteLength(text) > fieldBytesMax) {
        throw new RangeError(
          `session field "${field}" is larger than ${fieldBytesMax} bytes. Fix: keep the data in the database and its id here`,
        );
      }
      const fields = Object.keys((await this.#fields()) ?? {}).filter((name) => name.startsWith(":"));
      if (fields.length >= fieldsMax && !fields.includes(`:${field}`)) {
        throw new RangeError(`the session has ${fieldsMax} fields; "${field}" would be one more`);
      }
      await this.#write({ set: { [`:${field}`]: text } });
    });
  }

  delete(field: string): Promise<void> {
    return this.#inTurn(async () => {
      if ((await this.#fields())?.[`:${field}`] !== undefined) await this.#write({ delete: [`:${field}`] });
    });
  }

  async user(): Promise<string | null> {
    return (await this.#fields())?.["u"] ?? null;
  }

  /**
   * A new id for whoever signs in: one planted before the login is worth nothing after it. The old id dies in the same step. What an
   * anonymous visitor had gathered comes along; what another user had does not.
   */
  login(user: string): Promise<void> {
    return this.#inTurn(async () => {
      this.#refuseForeign();
      const now = String(Date.now());
      const id = makeId();
      const set = { v: layoutVersion, c: now, t: now, u: user };
      const existing = await this.#fields();
      const owner = existing?.["u"];
      const before = this.#id;
      const comesAlong = existing !== null && (owner === undefined || owner === user);
      const moved =
        comesAlong &&
        (await this.#kv().hashMove(keyOf(before!), keyOf(id), { set, mustExist: true }, this.#rules.idle));
      if (!moved) {
        if (before !== undefined) await this.#kv().delete([keyOf(before)]);
        await this.#kv().hashWrite(keyOf(id), { set }, this.#rules.idle);
      }
      this.#become(id);
    });
  }

  logout(): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#id === undefined) return;
      await this.#kv().delete([keyOf(this.#id)]);
      this.#id = undefined;
      this.#loading = undefined;
      this.cookie = null;
    });
  }

  #inTurn<T>(change: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(change);
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  #refuseForeign(): void {
    if (this.#foreign)
      throw new HttpError(403, "Another site may not begin a session here.", { code: "foreign_origin" });
  }

  /** Changes the session, or begins one. What another request has ended meanwhile stays ended: then a new one begins. */
  async #write(change: HashChange): Promise<void> {
    const existing = await this.#fields();
    if (
      existing !== null &&
      (await this.#kv().hashWrite(keyOf(this.#id!), { ...change, mustExist: true }, this.#ttl(existing)))
    ) {
      this.#loading = undefined;
      return;
    }
    if (change.set === undefined) return;
    this.#refuseForeign();
    const now = String(Date.now());
    const id = makeId();
    await this.#kv().hashWrite(
      keyOf(id),
      { set: { v: layoutVersion, c: now, t: now, ...change.set } },
      this.#rules.idle,
    );
    this.#become(id);
  }

  #become(id: string): void {
    this.#id = id;
    this.#loading = undefined;
    this.cookie = id;
  }

  /** The stored fields, read at most once between writes; null where there is no session. */
  async #fields(): Promise<Fields | null> {
    // Asked for even when there is no cookie: a store that nobody configured must not come to light with the first user who logs in.
    this.#kv();
    if (this.#id === undefined) return null;
    return (this.#loading ??= this.#load(this.#id));
  }

  async #load(id: string): Promise<Fields | null> {
    const fields = await this.#kv().hashGetAll(keyOf(id));
    if (fields === null || fields["v"] !== layoutVersion) return null;
    const now = Date.now();
    if (now - Number(fields["c"]) >= this.#rules.lifetime) {
      await this.#kv().delete([keyOf(id)]);
      return null;
    }
    if (now - Number(fields["t"]) >= Math.min(touchMillisecondsMax, this.#rules.idle / 4)) {
      await this.#kv().hashWrite(keyOf(id), { set: { t: String(now) }, mustExist: true }, this.#ttl(fields));
    }
    return fields;
  }

  /** Idle time, but never past the end of the session's life. */
  #ttl(fields: Fields): number {
    const left = Number(fields["c"]) + this.#rules.lifetime - Date.now();
    return Math.max(1, Math.min(this.#rules.idle, left));
  }

  #kv(): Kv {
    return kvStore("session");
  }
}

function makeId(): string {
  return randomBytes(32).toString("base64url");
}

/** A reader of the store must not be able to take a session over, so the id itself is never in it. */
function keyOf(id: string): string {
  return `session:${new Bun.CryptoHasher("sha256").update(id).digest("hex")}`;
}

/** The module's `session`: that of the request being served. */
export const session = {
  get: async <T = unknown>(field: string) =>
    (await requestContext("session.get()").session.get(field)) as T | undefined,
  set: async (field: string, value: Json) => requestContext("session.set()").session.set(field, value),
  delete: async (field: string) => requestContext("session.delete()").session.delete(field),
  user: async () => requestContext("session.user()").session.user(),
  login: async (user: string) => requestContext("session.login()").session.login(user),
  logout: async () => requestContext("session.logout()").session.logout(),
};
