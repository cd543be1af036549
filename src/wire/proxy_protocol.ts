/**
 * The PROXY protocol, versions 1 and 2: what a proxy that passes TCP on says about the connection before its first byte
 * (https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt). Pure: bytes give a verdict. Whether the peer may be believed, and
 * how long its header is waited for, is the caller's.
 */
import { formatAddress, parseAddress } from "../std/cidr.ts";

export type ProxyHeader =
  | { readonly kind: "incomplete" }
  | { readonly kind: "malformed"; readonly reason: string }
  /** `after` is the index of the connection's own first byte. `source` is undefined where the proxy speaks for itself: a health check. */
  | { readonly kind: "complete"; readonly after: number; readonly source: string | undefined };

/** What a header may hold at most. Version 2 has room for what a proxy says of TLS and the like, which means nothing here. */
export const proxyHeaderBytesMax = 4096;
/** Of a version 1 line, CRLF included (§2.1). */
const lineBytesMax = 107;

const lineStart = Buffer.from("PROXY ", "latin1");
const signature = Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1");
/** Signature, version and command, family and protocol, length. */
const fixedBytes = 16;

const incomplete: ProxyHeader = { kind: "incomplete" };

/** Reads the header at the start of `bytes`, which hold all that has come so far. */
export function readProxyHeader(bytes: Buffer): ProxyHeader {
  if (beginsLike(bytes, signature)) return bytes.length < fixedBytes ? incomplete : readVersion2(bytes);
  if (beginsLike(bytes, lineStart)) return readVersion1(bytes);
  return malformed("it does not begin with a PROXY protocol header");
}

/** Whether `bytes` begin with `start`, as far as they go. */
function beginsLike(bytes: Buffer, start: Buffer): boolean {
  const length = Math.min(bytes.length, start.length);
  return bytes.compare(start, 0, length, 0, length) === 0;
}

function malformed(reason: string): ProxyHeader {
  return { kind: "malformed", reason };
}

/** PROXY TCP4 192.0.2.1 198.51.100.1 4711 443, and CRLF. */
function readVersion1(bytes: Buffer): ProxyHeader {
  const end = bytes.subarray(0, lineBytesMax).indexOf("\r\n");
  if (end === -1) {
    return bytes.length < lineBytesMax ? incomplete : malformed(`its line is longer than ${lineBytesMax} bytes`);
  }
  const [, family, ...rest] = bytes.toString("latin1", 0, end).split(" ");
  const after = end + 2;
  // Whatever follows UNKNOWN is to be ignored.
  if (family === "UNKNOWN") return { kind: "complete", after, source: undefined };
  const [source, destination, ...ports] = rest;
  const isWhole = ports.length === 2 && ports.every(isPort);
  if (!isWhole || !isOf(family, source) || !isOf(family, destination)) return malformed("its line names no connection");
  return { kind: "complete", after, source: formatAddress(parseAddress(source!)!) };
}

function isPort(text: string): boolean {
  return /^(0|[1-9]\d{0,4})$/.test(text) && Number(text) <= 65_535;
}

function isOf(family: string | undefined, address: string | undefined): boolean {
  if (address === undefined || parseAddress(address) === undefined) return false;
  return address.includes(":") ? family === "TCP6" : family === "TCP4";
}

const version2 = 2;
const commands = { local: 0, proxy: 1 } as const;
/** Address family and transport protocol in one byte (§2.2): TCP over IPv4, over IPv6. */
const families = { unspecified: 0x00, tcp4: 0x11, tcp6: 0x21, unixStream: 0x31 } as const;
/** Both addresses and ports. */
const tcp4Bytes = 12;
const tcp6Bytes = 36;

function readVersion2(bytes: Buffer): ProxyHeader {
  const version = bytes[12]! >> 4;
  const command = bytes[12]! & 0x0f;
  const family = bytes[13]!;
  const length = bytes.readUInt16BE(14);
  const after = fixedBytes + length;
  if (version !== version2) return malformed(`its version is ${version}, not 2`);
  if (command !== commands.local && command !== commands.proxy) return malformed(`its command ${command} is unknown`);
  if (after > proxyHeaderBytesMax) return malformed(`it is longer than ${proxyHeaderBytesMax} bytes`);
  if (bytes.length < after) return incomplete;
  // The proxy itself speaks, or it does not know for whom: the addresses, if any, mean nothing.
  if (command === commands.local || family === families.unspecified || family === families.unixStream) {
    return { kind: "complete", after, source: undefined };
  }
  if (family === families.tcp4 && length >= tcp4Bytes) return { kind: "complete", after, source: ipv4At(bytes) };
  if (family === families.tcp6 && length >= tcp6Bytes) return { kind: "complete", after, source: ipv6At(bytes) };
  return malformed(`its addresses are of no TCP connection (family ${family}, ${length} bytes)`);
}

function ipv4At(bytes: Buffer): string {
  return bytes.subarray(fixedBytes, fixedBytes + 4).join(".");
}

function ipv6At(bytes: Buffer): string {
  return formatAddress((bytes.readBigUInt64BE(fixedBytes) << 64n) | bytes.readBigUInt64BE(fixedBytes + 8));
}
