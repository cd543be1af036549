/**
 * Fields (RFC 9110 §5): a list of names and values as marks over the bytes they arrived in, and the names scale gives meaning to.
 * Invariant: a Fields object's bytes were validated by whoever filled it; what reads them need not look again.
 * What a field means for a message is not here; nor is any line syntax (http1/).
 */

/** Ids of the fields that scale reads, replaces or removes. `other` is everything else. */
export const known = {
  /** Removed from the message: serialisers skip it. */
  dropped: -1,
  other: 0,
  host: 1,
  contentLength: 2,
  transferEncoding: 3,
  connection: 4,
  keepAlive: 5,
  proxyConnection: 6,
  te: 7,
  trailer: 8,
  upgrade: 9,
  http2Settings: 10,
  proxyAuthenticate: 11,
  proxyAuthorization: 12,
  expect: 13,
  forwarded: 14,
  forwardedFor: 15,
  forwardedProto: 16,
  forwardedHost: 17,
  realIp: 18,
  /** X-Forwarded- and anything else. */
  forwardedOther: 19,
  requestId: 20,
  traceparent: 21,
  tracestate: 22,
  accept: 23,
  date: 24,
  cookie: 25,
  /** A known name spelt with underscores: CGI-style servers cannot tell X_Forwarded_For from X-Forwarded-For, so it never passes. */
  underscored: 26,
} as const;

/** Every name with an id of its own, in lower case. */
export const knownNames: { readonly [name: string]: number } = {
  host: known.host,
  "content-length": known.contentLength,
  "transfer-encoding": known.transferEncoding,
  connection: known.connection,
  "keep-alive": known.keepAlive,
  "proxy-connection": known.proxyConnection,
  te: known.te,
  trailer: known.trailer,
  upgrade: known.upgrade,
  "http2-settings": known.http2Settings,
  "proxy-authenticate": known.proxyAuthenticate,
  "proxy-authorization": known.proxyAuthorization,
  expect: known.expect,
  forwarded: known.forwarded,
  "x-forwarded-for": known.forwardedFor,
  "x-forwarded-proto": known.forwardedProto,
  "x-forwarded-host": known.forwardedHost,
  "x-real-ip": known.realIp,
  "x-request-id": known.requestId,
  traceparent: known.traceparent,
  tracestate: known.tracestate,
  accept: known.accept,
  date: known.date,
  cookie: known.cookie,
};

interface Candidate {
  readonly name: Uint8Array;
  readonly id: number;
}

const byLength: readonly (readonly Candidate[])[] = groupByLength();

function groupByLength(): Candidate[][] {
  const groups: Candidate[][] = [];
  for (const [name, id] of Object.entries(knownNames)) {
    (groups[name.length] ??= []).push({ name: Buffer.from(name, "latin1"), id });
  }
  return Array.from(groups, (group) => group ?? []);
}

/** The id of the name at [start, end), whatever its case. Hot: most names fail on the length or the first byte. */
export function fieldId(bytes: Uint8Array, start: number, end: number): number {
  const candidates = byLength[end - start];
  if (candidates === undefined) return forwardedOther(bytes, start, end);
  for (let index = 0; index < candidates.length; index++) {
    const { name, id } = candidates[index]!;
    if ((bytes[start]! | 0x20) !== name[0]) continue;
    const spelling = compareName(bytes, start, name);
    if (spelling !== different) return spelling === exact ? id : known.underscored;
  }
  return forwardedOther(bytes, start, end);
}

const forwardedPrefix = Buffer.from("x-forwarded-", "latin1");

/** The names that begin with X-Forwarded- are too many for a table, and a proxy speaks in all of them. */
function forwardedOther(bytes: Uint8Array, start: number, end: number): number {
  if (end - start <= forwardedPrefix.length || (bytes[start]! | 0x20) !== forwardedPrefix[0]) return known.other;
  const spelling = compareName(bytes, start, forwardedPrefix);
  if (spelling === different) return known.other;
  return spelling === exact ? known.forwardedOther : known.underscored;
}

const different = 0;
const exact = 1;
const withUnderscores = 2;

const hyphen = 0x2d;
const underscore = 0x5f;

function compareName(bytes: Uint8Array, start: number, name: Uint8Array): 0 | 1 | 2 {
  let spelling: 1 | 2 = exact;
  for (let index = 0; index < name.length; index++) {
    const byte = bytes[start + index]!;
    if ((byte | 0x20) === name[index]) continue;
    if (byte !== underscore || name[index] !== hyphen) return different;
    spelling = withUnderscores;
  }
  return spelling;
}

/** Whether [start, end) is the name `lower` (lower case, hyphens) in any case, or with underscores for hyphens. Hot. */
export function isSpelling(bytes: Uint8Array, start: number, end: number, lower: Uint8Array): boolean {
  return end - start === lower.length && compareName(bytes, start, lower) !== different;
}

/** Whether [start, end) is `lower`, a lower-case ASCII word, in any case. */
export function equalsIgnoringCase(bytes: Uint8Array, start: number, end: number, lower: Uint8Array): boolean {
  if (end - start !== lower.length) return false;
  for (let index = 0; index < lower.length; index++) {
    const byte = bytes[start + index]!;
    if ((byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte) !== lower[index]) return false;
  }
  return true;
}

/** Numbers kept for each field: id, start and end of its name, start and end of its value. */
const marksPerField = 5;

const noBytes = Buffer.alloc(0);

/** A list of fields. Reused from message to message: `clear` first, `bytes` last. */
export class Fields {
  bytes: Buffer = noBytes;
  count = 0;
  readonly #marks: Int32Array;

  constructor(fieldsMax: number) {
    this.#marks = new Int32Array(fieldsMax * marksPerField);
  }

  get isFull(): boolean {
    return this.count * marksPerField === this.#marks.length;
  }

  /** Forgets everything, the bytes too: a list that waits for its next use must not keep a connection's chunk alive. */
  clear(): void {
    this.count = 0;
    this.bytes = noBytes;
  }

  add(id: number, nameStart: number, nameEnd: number, valueStart: number, valueEnd: number): void {
    const at = this.count++ * marksPerField;
    this.#marks[at] = id;
    this.#marks[at + 1] = nameStart;
    this.#marks[at + 2] = nameEnd;
    this.#marks[at + 3] = valueStart;
    this.#marks[at + 4] = valueEnd;
  }

  /** Moves every mark back by `offset`, when the bytes have been copied to the start of another buffer. */
  shift(offset: number): void {
    for (let index = 0; index < this.count; index++) {
      const at = index * marksPerField;
      for (let mark = at + 1; mark < at + marksPerField; mark++) this.#marks[mark]! -= offset;
    }
  }

  id(index: number): number {
    return this.#marks[index * marksPerField]!;
  }
  nameStart(index: number): number {
    return this.#marks[index * marksPerField + 1]!;
  }
  nameEnd(index: number): number {
    return this.#marks[index * marksPerField + 2]!;
  }
  valueStart(index: number): number {
    return this.#marks[index * marksPerField + 3]!;
  }
  valueEnd(index: number): number {
    return this.#marks[index * marksPerField + 4]!;
  }

  name(index: number): string {
    return this.bytes.toString("latin1", this.nameStart(index), this.nameEnd(index));
  }
  value(index: number): string {
    return this.bytes.toString("latin1", this.valueStart(index), this.valueEnd(index));
  }

  /** Takes the field out of the message; its index stays. */
  drop(index: number): void {
    this.#marks[index * marksPerField] = known.dropped;
  }

  /** Index of the first field with this id, -1 if there is none. */
  find(id: number): number {
    for (let index = 0; index < this.count; index++) if (this.id(index) === id) return index;
    return -1;
  }

  /** Index of the first field of this name, lower-case, that is still in the message; -1 if there is none. */
  findName(lower: Uint8Array): number {
    for (let index = 0; index < this.count; index++) {
      const isIt = equalsIgnoringCase(this.bytes, this.nameStart(index), this.nameEnd(index), lower);
      if (isIt && this.id(index) !== known.dropped) return index;
    }
    return -1;
  }

  /** Every value with this id, joined as RFC 9110 §5.3 allows; undefined if there is none. */
  join(id: number): string | undefined {
    let joined: string | undefined;
    for (let index = 0; index < this.count; index++) {
      if (this.id(index) !== id) continue;
      joined = joined === undefined ? this.value(index) : `${joined}, ${this.value(index)}`;
    }
    return joined;
  }

  /** Every field still in the message, as pairs: for tests and for what is not hot. */
  entries(): [name: string, value: string][] {
    const pairs: [string, string][] = [];
    for (let index = 0; index < this.count; index++) {
      if (this.id(index) !== known.dropped) pairs.push([this.name(index), this.value(index)]);
    }
    return pairs;
  }
}
