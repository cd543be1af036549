/**
 * What a message says about its own hop (RFC 9110 §7.6.1): Connection, and the fields that never go further. Applied when a head is
 * complete and before anything is added, so that a peer can name any field in Connection and remove none of ours.
 */
import { equalsIgnoringCase, type Fields, known } from "../fields.ts";

const close = Buffer.from("close", "latin1");
const keepAlive = Buffer.from("keep-alive", "latin1");
const upgrade = Buffer.from("upgrade", "latin1");

/** What Connection fields say, as bits: all of them together, in whatever order. */
export const connectionOption = { close: 1, keepAlive: 2, upgrade: 4, tooLong: 8 } as const;

/** All Connection fields of a head together. Each name in them is looked for in every field, so that a long list is a way to keep us busy. */
const connectionBytesMax = 512;

/** Ids that stay on this hop, whether Connection names them or not. */
const hopByHop = new Set<number>([
  known.contentLength,
  known.transferEncoding,
  known.connection,
  known.keepAlive,
  known.proxyConnection,
  known.te,
  known.trailer,
  known.upgrade,
  known.http2Settings,
  known.proxyAuthenticate,
  known.proxyAuthorization,
]);

export function isHopByHop(id: number): boolean {
  return hopByHop.has(id);
}

/** The options of all Connection fields of a head; takes the fields they name out of it. `tooLong` is an error. */
export function connectionOf(fields: Fields): number {
  let options = 0;
  let bytes = 0;
  for (let index = 0; index < fields.count; index++) {
    if (fields.id(index) !== known.connection) continue;
    bytes += fields.valueEnd(index) - fields.valueStart(index);
    if (bytes > connectionBytesMax) return connectionOption.tooLong;
    options |= applyConnection(fields, index);
  }
  return options;
}

/** Whether a connection persists: "close" wins over "keep-alive", which HTTP/1.0 has to say (RFC 9112 §9.3). */
export function persists(options: number, minorVersion: 0 | 1): boolean {
  if ((options & connectionOption.close) !== 0) return false;
  return minorVersion === 1 || (options & connectionOption.keepAlive) !== 0;
}

function applyConnection(fields: Fields, index: number): number {
  const { bytes } = fields;
  const end = fields.valueEnd(index);
  let options = 0;
  let at = fields.valueStart(index);
  while (at < end) {
    while (at < end && isSeparator(bytes[at]!)) at++;
    const start = at;
    while (at < end && !isSeparator(bytes[at]!)) at++;
    if (at === start) break;
    if (equalsIgnoringCase(bytes, start, at, close)) options |= connectionOption.close;
    else if (equalsIgnoringCase(bytes, start, at, keepAlive)) options |= connectionOption.keepAlive;
    else if (equalsIgnoringCase(bytes, start, at, upgrade)) options |= connectionOption.upgrade;
    else dropNamed(fields, bytes, start, at);
  }
  return options;
}

function isSeparator(byte: number): boolean {
  return byte === 0x2c || byte === 0x20 || byte === 0x09;
}

function dropNamed(fields: Fields, bytes: Buffer, start: number, end: number): void {
  const name = Buffer.from(bytes.toString("latin1", start, end).toLowerCase(), "latin1");
  for (let index = 0; index < fields.count; index++) {
    // A Connection field that names itself, or the framing, changes nothing: those are never passed on as they came.
    if (hopByHop.has(fields.id(index)) || fields.id(index) === known.host) continue;
    if (equalsIgnoringCase(bytes, fields.nameStart(index), fields.nameEnd(index), name)) fields.drop(index);
  }
}
