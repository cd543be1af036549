/**
 * The caller's session: a hash in the key-value store (session_record.ts) under the handle that the cookie names, for whoever brings
 * its secret (session_id.ts), written field by field, so that two requests at a time do not lose each other's. Idle and absolute
 * expiry; a new secret from time to time (session_rotation.ts), and at once at login and renew(). With the store gone every question
 * fails: nobody is taken for a stranger, and no session begins. What applications call is session.ts; the cookie's name and attributes
 * are session_cookie.ts; putting it on the response is role app's.
 */
import type { Device, Json } from "scale";

import type { HashChange, Kv } from "../store/kv/kv.ts";
import { HttpError } from "./http_error.ts";
import { assertJson } from "./json_value.ts";
import { kvStore } from "./runtime.ts";
import { isCsrfToken, makeCsrfToken } from "./session_csrf.ts";
import { addDevice, devicesOf, endDevice, endDevices, seeDevice } from "./session_devices.ts";
import { formatId, makeId, type SessionId } from "./session_id.ts";
import {
  type Fields,
  isReadable,
  isSightingDue,
  keyOf,
  lifeLeft,
  newborn,
  newEpoch,
  ofOldEpoch,
  type SessionRules,
  sighting,
  timeToLive,
  type Visitor,
} from "./session_record.ts";
import { judge } from "./session_rotation.ts";

const fieldsMax = 100;
const fieldBytesMax = 16 * 1024;
/** A look is repeated where another request has changed the secret meanwhile; who loses more often than this is given up. */
const looksMax = 5;

/** Who asks, and whether a page of another site made him. */
export interface Caller extends Visitor {
  /** It may not begin a session, lest somebody be signed in without knowing. */
  readonly isForeign: boolean;
}

/** The session of one request: what the cookie said, what was loaded, and what the cookie must become. */
export class SessionState {
  readonly #rules: SessionRules;
  readonly #caller: Caller;
  /** Changes follow one another: two at a time in a request without a session would begin two. */
  #last: Promise<unknown> = Promise.resolve();
  #id: SessionId | undefined;
  #loading: Promise<Fields | null> | undefined;
  /** The request has seen its session: if that ends now, another one must not take its place unnoticed. */
  #wasOpen = false;
  /** What the response must say: a new id, null to end the cookie, undefined to leave it. */
  cookie: string | null | undefined;

  /** `id` is the cookie's. */
  constructor(id: SessionId | undefined, rules: SessionRules, caller: Caller) {
    this.#id = id;
    this.#rules = rules;
    this.#caller = caller;
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
      const set = { [`:${field}`]: text };
      if (await this.#change({ set })) return;
      if (this.#wasOpen) throw ended();
      await this.#begin(set);
    });
  }

  delete(field: string): Promise<void> {
    return this.#inTurn(async () => {
      if ((await this.#fields())?.[`:${field}`] !== undefined) await this.#change({ delete: [`:${field}`] });
    });
  }

  async user(): Promise<string | null> {
    return (await this.#fields())?.["u"] ?? null;
  }

  /**
   * A new id for whoever signs in: one planted before the login is worth nothing after it, from the same step on. What an anonymous
   * visitor had gathered comes along; what another user had does not.
   */
  login(user: string): Promise<void> {
    return this.#inTurn(async () => {
      this.#refuseForeign();
      const owner = (await this.#fields())?.["u"];
      if ((owner === undefined || owner === user) && (await this.#renew({ u: user, c: String(Date.now()) }))) return;
      await this.#end();
      await this.#begin({ u: user });
    });
  }

  renew(): Promise<void> {
    return this.#inTurn(async () => {
      if ((await this.#fields()) !== null && !(await this.#renew({}))) throw ended();
    });
  }

  logout(): Promise<void> {
    return this.#inTurn(() => this.#logout());
  }

  async devices(): Promise<readonly Device[]> {
    const user = await this.user();
    return user === null ? [] : devicesOf(this.#kv(), user, this.#id?.handle);
  }

  logoutDevice(id: string): Promise<boolean> {
    return this.#inTurn(async () => {
      const user = await this.user();
      if (user === null) return false;
      if (id !== this.#id?.handle) return endDevice(this.#kv(), user, id);
      await this.#logout();
      return true;
    });
  }

  logoutEverywhere(keepThis: boolean): Promise<void> {
    return this.#inTurn(async () => {
      const user = await this.user();
      if (user === null) return;
      await endDevices(this.#kv(), user, this.#id?.handle);
      if (!keepThis) await this.#logout();
    });
  }

  csrf(): Promise<string> {
    return this.#inTurn(async () => {
      if ((await this.#fields()) === null) await this.#begin({});
      const fields = await this.#fields();
      if (fields === null) throw ended();
      return makeCsrfToken(this.#id!.handle, fields["e"]!);
    });
  }

  async checkCsrf(token: string | null | undefined): Promise<void> {
    const epoch = (await this.#fields())?.["e"];
    if (epoch !== undefined && isCsrfToken(token ?? "", this.#id?.handle ?? "", epoch)) return;
    throw new HttpError(403, "This form has expired or is not ours. Load the page again.", { code: "csrf_token" });
  }

  #inTurn<T>(change: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(change);
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  #refuseForeign(): void {
    if (this.#caller.isForeign)
      throw new HttpError(403, "Another site may not begin a session here.", { code: "foreign_origin" });
  }

  async #begin(set: Fields): Promise<void> {
    this.#refuseForeign();
    const id = makeId();
    if (set["u"] !== undefined) await addDevice(this.#kv(), set["u"], id.handle, this.#rules);
    const fields = { ...newborn(id.secret, Date.now(), this.#caller), ...set };
    await this.#kv().hashWrite(keyOf(id.handle), { set: fields }, this.#rules.idle);
    this.#become(id);
  }

  /** A secret that follows from none; false where there is no session any more. */
  async #renew(set: Fields): Promise<boolean> {
    if ((await this.#fields()) === null) return false;
    const id = makeId(this.#id!.handle);
    if (set["u"] !== undefined) await addDevice(this.#kv(), set["u"], id.handle, this.#rules);
    const fields = { ...newEpoch(id.secret, Date.now()), ...set };
    if (!(await this.#change({ set: fields, delete: ofOldEpoch }))) return false;
    this.#become(id);
    return true;
  }

  async #logout(): Promise<void> {
    if (this.#id === undefined) return;
    await this.#end();
    this.#id = undefined;
    this.#loading = undefined;
    this.cookie = null;
  }

  /** Ends the session, if it is still the caller's. */
  async #end(): Promise<void> {
    this.#loading = undefined;
    const fields = await this.#fields();
    if (fields === null) return;
    const { handle } = this.#id!;
    if (fields["u"] === undefined || !(await endDevice(this.#kv(), fields["u"], handle)))
      await this.#kv().delete([keyOf(handle)]);
  }

  /** Changes the session that the request has seen. False where its id is worth nothing any more: what was ended stays ended. */
  async #change(change: HashChange): Promise<boolean> {
    const fields = await this.#fields();
    if (fields === null) return false;
    const onlyIf = { field: "e", value: fields["e"]! };
    const timeLeft = timeToLive({ ...fields, ...change.set }, Date.now(), this.#rules);
    this.#loading = undefined;
    return this.#kv().hashWrite(keyOf(this.#id!.handle), { ...change, onlyIf }, timeLeft);
  }

  #become(id: SessionId): void {
    this.#id = id;
    this.#loading = undefined;
    this.cookie = formatId(id);
  }

  /** The stored fields, read at most once between writes; null where there is no session. */
  async #fields(): Promise<Fields | null> {
    // Asked for even when there is no cookie: a store that nobody configured must not come to light with the first user who logs in.
    this.#kv();
    if (this.#id === undefined) return null;
    return (this.#loading ??= this.#load(this.#id));
  }

  async #load(id: SessionId): Promise<Fields | null> {
    for (let look = 1; look <= looksMax; look++) {
      const fields = await this.#kv().hashGetAll(keyOf(id.handle));
      if (fields === null || !isReadable(fields)) return null;
      const seen = await this.#look(id, fields);
      if (seen === "changed") continue;
      if (seen !== null) this.#wasOpen = true;
      return seen;
    }
    throw ended();
  }

  /** What of these fields is the caller's, after what is due has been written; "changed" where another request was faster. */
  async #look({ handle, secret }: SessionId, fields: Fields): Promise<Fields | null | "changed"> {
    const now = Date.now();
    const verdict = judge(fields, secret, now, this.#rules.rotation);
    if (!verdict.isOwner) return null;
    if (lifeLeft(fields, now, this.#rules.lifetime) <= 0) {
      await this.#kv().delete([keyOf(handle)]);
      return null;
    }
    const isSeen = isSightingDue(fields, now, this.#rules);
    const set = { ...verdict.set, ...(isSeen ? sighting(now, this.#caller) : {}) };
    if (isSeen || verdict.set !== undefined) {
      // Of many requests at a time one notes that the session is used; a change of the secret that was lost is looked at again.
      const guard = verdict.set === undefined ? "t" : "k";
      const change = { set, delete: verdict.delete ?? [], onlyIf: { field: guard, value: fields[guard]! } };
      const isWritten = await this.#kv().hashWrite(keyOf(handle), change, timeToLive(fields, now, this.#rules));
      if (!isWritten && guard === "k") return "changed";
      if (isWritten && isSeen && fields["u"] !== undefined)
        await seeDevice(this.#kv(), fields["u"], handle, this.#rules);
    }
    if (verdict.give !== undefined) this.cookie = formatId({ handle, secret: verdict.give });
    return fields;
  }

  #kv(): Kv {
    return kvStore("session");
  }
}

function ended(): HttpError {
  return new HttpError(409, "Your session has ended or changed meanwhile. Try again.", { code: "session_ended" });
}
