/** What a proxy says of a connection before its first byte: byte for byte, whole and in pieces. */
import { describe, expect, test } from "bun:test";

import { proxyHeaderBytesMax, readProxyHeader } from "../../src/wire/proxy_protocol.ts";

const request = "GET / HTTP/1.1\r\n";
const latin1 = (text: string) => Buffer.from(text, "latin1");

/** A version 2 header: version and command, family and protocol, addresses and whatever follows them. */
function version2(command: number, family: number, body: readonly number[], length = body.length): Buffer {
  const fixed = [...latin1("\r\n\r\n\0\r\nQUIT\n"), command, family, length >> 8, length & 0xff];
  return Buffer.from([...fixed, ...body]);
}

const tcp4 = [192, 0, 2, 7, 198, 51, 100, 1, 0x12, 0x67, 0x01, 0xbb];
const tcp6 = [...Buffer.from("20010db800000000000000000000000120010db8000000000000000000000002126701bb", "hex")];
const padding = (bytes: number) => Array<number>(bytes).fill(0);

const valid: readonly (readonly [string, Buffer, string | undefined])[] = [
  ["TCP4", latin1("PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n"), "192.0.2.7"],
  ["TCP6", latin1("PROXY TCP6 2001:db8:0:0::1 2001:db8::2 4711 443\r\n"), "2001:db8::1"],
  ["TCP6 with an IPv4 client", latin1("PROXY TCP6 ::ffff:192.0.2.7 ::ffff:198.51.100.1 1 2\r\n"), "192.0.2.7"],
  ["UNKNOWN", latin1("PROXY UNKNOWN\r\n"), undefined],
  ["UNKNOWN with something", latin1("PROXY UNKNOWN ffff:f f\r\n"), undefined],
  ["the longest line", latin1(`PROXY UNKNOWN ${"f".repeat(91)}\r\n`), undefined],
  ["version 2 over IPv4", version2(0x21, 0x11, tcp4), "192.0.2.7"],
  ["version 2 over IPv6", version2(0x21, 0x21, tcp6), "2001:db8::1"],
  ["version 2 with more than addresses", version2(0x21, 0x11, [...tcp4, 0x04, 0, 3, 1, 2, 3]), "192.0.2.7"],
  ["the largest version 2", version2(0x21, 0x11, [...tcp4, ...padding(proxyHeaderBytesMax - 28)]), "192.0.2.7"],
  ["the proxy's own check", version2(0x20, 0x00, []), undefined],
  ["the proxy's own check with addresses", version2(0x20, 0x11, tcp4), undefined],
  ["no family", version2(0x21, 0x00, []), undefined],
  ["a unix socket", version2(0x21, 0x31, padding(216)), undefined],
];

describe("a header", () => {
  test.each(valid)("of %s names the source, and ends where the connection's own bytes begin", (_, header, source) => {
    const bytes = Buffer.concat([header, latin1(request)]);
    expect(readProxyHeader(bytes)).toEqual({ kind: "complete", after: header.length, source });
  });

  test.each(valid)("of %s is incomplete until its last byte", (_, header) => {
    for (let length = 0; length < header.length; length++) {
      expect(readProxyHeader(header.subarray(0, length))).toEqual({ kind: "incomplete" });
    }
  });
});

const bad: readonly (readonly [string, Buffer])[] = [
  ["a request", latin1(request)],
  ["lower case", latin1("proxy TCP4 192.0.2.7 198.51.100.1 1 2\r\n")],
  ["UDP", latin1("PROXY UDP4 192.0.2.7 198.51.100.1 1 2\r\n")],
  ["an IPv6 address as TCP4", latin1("PROXY TCP4 ::1 ::2 1 2\r\n")],
  ["an IPv4 address as TCP6", latin1("PROXY TCP6 192.0.2.7 198.51.100.1 1 2\r\n")],
  ["a name", latin1("PROXY TCP4 localhost 198.51.100.1 1 2\r\n")],
  ["an address with leading zeros", latin1("PROXY TCP4 192.0.02.7 198.51.100.1 1 2\r\n")],
  ["two spaces", latin1("PROXY TCP4  192.0.2.7 198.51.100.1 1 2\r\n")],
  ["a port missing", latin1("PROXY TCP4 192.0.2.7 198.51.100.1 1\r\n")],
  ["something too many", latin1("PROXY TCP4 192.0.2.7 198.51.100.1 1 2 3\r\n")],
  ["a port above 65535", latin1("PROXY TCP4 192.0.2.7 198.51.100.1 1 65536\r\n")],
  ["a port with a leading zero", latin1("PROXY TCP4 192.0.2.7 198.51.100.1 01 2\r\n")],
  ["a bare LF", latin1(`PROXY TCP4 192.0.2.7 198.51.100.1 1 2\n${request}`.padEnd(120))],
  ["a line too long", latin1(`PROXY UNKNOWN ${"f".repeat(92)}\r\n`)],
  ["version 1 in binary", version2(0x11, 0x11, tcp4)],
  ["an unknown command", version2(0x22, 0x11, tcp4)],
  ["UDP in binary", version2(0x21, 0x12, tcp4)],
  ["an unknown family", version2(0x21, 0x41, tcp4)],
  ["addresses cut off", version2(0x21, 0x11, tcp4.slice(1))],
  ["IPv6 addresses cut off", version2(0x21, 0x21, tcp6.slice(1))],
  ["more than may be", version2(0x21, 0x11, tcp4, proxyHeaderBytesMax - 15)],
];

test.each(bad)("what is none is refused: %s", (_, bytes) => {
  expect(readProxyHeader(bytes).kind).toBe("malformed");
});
