/**
 * Request heads of HTTP/1.1 and 1.0 (RFC 9112 §3): bytes in, a version-neutral RequestHead out. Invariant: what it lets through has
 * exactly one reading: one host, one framing, one target form. Bodies are body_reader.ts'.
 */
import { ScaleError } from "../../std/errors.ts";
import { equalsIgnoringCase, known } from "../fields.ts";
import { COLON, hostByte, ipLiteralByte, isText, matchesAt, SLASH, SP, targetByte, tokenByte } from "../grammar.ts";
import { connectMethod, length, type RequestHead } from "../message.ts";
import { RecentTexts } from "../recent_texts.ts";
import { connectionOf, connectionOption, isHopByHop, persists } from "./connection_options.ts";
import { Framing, notGiven } from "./framing.ts";
import { type HeadLimits, HeadParser } from "./head_parser.ts";
import { protocolsOf } from "./upgrade.ts";

const methodBytesMax = 32;
const continueExpectation = Buffer.from("100-continue", "latin1");
const schemes = [Buffer.from("http://", "latin1"), Buffer.from("https://", "latin1")];
const versionPrefix = Buffer.from("HTTP/1.", "latin1");

const targets = new RecentTexts();

/** Methods that cost no new string. */
const methods = ["GET", "POST", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"].map((name) => ({
  name,
  bytes: Buffer.from(name, "latin1"),
}));

export class RequestParser extends HeadParser implements RequestHead {
  method = "";
  authority = "";
  target = "";
  bodyLength: number = length.none;
  expectsContinue = false;
  acceptsTrailers = false;
  upgrade = "";
  /** 0 or 1: whether the answer may be chunked and the connection persists by default. */
  minorVersion: 0 | 1 = 1;
  /** Whether the client wants the connection to persist (RFC 9112 §9.3). */
  keepsAlive = true;

  readonly #framing = new Framing("request_malformed");
  #lastAuthority = "";
  #hostFields = 0;
  #connectionFields = 0;
  #skippedEmptyLine = false;
  /** The target names an authority, which has replaced Host (RFC 9112 §3.2.2, §3.2.3). */
  #namesAuthority = false;

  constructor(limits: HeadLimits) {
    super(limits, "request_malformed");
    this.reset();
  }

  /** Makes ready for the next request. */
  reset(): void {
    this.clear();
    this.#framing.clear();
    this.startLinePending = true;
    this.authority = "";
    this.expectsContinue = false;
    this.acceptsTrailers = false;
    this.upgrade = "";
    this.#hostFields = 0;
    this.#connectionFields = 0;
    this.#skippedEmptyLine = false;
    this.#namesAuthority = false;
  }

  protected override tooLarge(): ScaleError {
    return this.startLinePending ? this.#targetTooLong() : super.tooLarge();
  }

  protected override startLine(bytes: Buffer, start: number, end: number): void {
    if (start === end) return this.#emptyLine();
    this.startLinePending = false;
    let at = start;
    while (tokenByte[bytes[at]!] === 1) at++;
    if (at === start || bytes[at] !== SP) throw this.malformed("the request line does not begin with a method");
    this.method = this.#methodAt(bytes, start, at);
    const targetStart = at + 1;
    at = targetStart;
    while (targetByte[bytes[at]!] === 1) at++;
    if (bytes[at] !== SP || at === targetStart) throw this.#badTarget(bytes[at]!);
    if (at - targetStart > this.limits.targetBytesMax) throw this.#targetTooLong();
    this.#version(bytes, at + 1, end);
    this.#targetForm(bytes, targetStart, at);
  }

  protected override knownField(id: number, bytes: Buffer, start: number, end: number): void {
    if (id === known.host) this.#host(bytes, start, end);
    else if (id === known.contentLength) this.#framing.contentLengthField(bytes, start, end);
    else if (id === known.transferEncoding) this.#framing.transferEncodingField(bytes, start, end);
    else if (id === known.connection) this.#connectionFields++;
    else if (id === known.expect) {
      this.expectsContinue = equalsIgnoringCase(bytes, start, end, continueExpectation) && this.minorVersion === 1;
    } else if (id === known.te) this.acceptsTrailers ||= this.minorVersion === 1 && namesTrailers(bytes, start, end);
  }

  protected override complete(): void {
    if (this.#hostFields === 0 && this.minorVersion === 1) throw this.malformed("Host is missing");
    this.#framing.check(this.minorVersion);
    const { contentLength, isChunked } = this.#framing;
    this.bodyLength = isChunked ? length.unknown : contentLength === notGiven ? length.none : contentLength;
    if (!isChunked && contentLength <= 0) this.expectsContinue = false;
    if (this.method === connectMethod && this.bodyLength !== length.none) throw this.malformed("CONNECT has no body");
    this.#dropHopByHop();
  }

  #dropHopByHop(): void {
    const { fields } = this;
    const isOld = this.minorVersion === 0;
    const options = this.#connectionFields > 0 ? connectionOf(fields) : 0;
    if ((options & connectionOption.tooLong) !== 0) throw this.malformed("Connection names too many fields");
    this.keepsAlive = persists(options, this.minorVersion);
    if ((options & connectionOption.upgrade) !== 0) this.#upgrade();
    for (let index = 0; index < fields.count; index++) {
      const id = fields.id(index);
      if (id !== known.other && (isHopByHop(id) || isOurs(id, isOld))) fields.drop(index);
    }
  }

  /** An Upgrade in HTTP/1.0 is to be ignored (RFC 9110 §7.8), and one with a body may be: what its bytes belong to would be a guess. */
  #upgrade(): void {
    const mayBe = this.minorVersion === 1 && this.method !== connectMethod;
    if (mayBe && this.bodyLength <= 0 && this.bodyLength !== length.unknown) {
      this.upgrade = protocolsOf(this.fields.join(known.upgrade) ?? "");
    }
  }

  /** One empty line before the request line is a known habit of clients (RFC 9112 §2.2). */
  #emptyLine(): void {
    if (this.#skippedEmptyLine) throw this.malformed("the request begins with empty lines");
    this.#skippedEmptyLine = true;
  }

  #methodAt(bytes: Buffer, start: number, end: number): string {
    for (let index = 0; index < methods.length; index++) {
      const method = methods[index]!;
      if (matchesAt(bytes, start, end, method.bytes)) return method.name;
    }
    if (end - start > methodBytesMax) throw this.malformed(`the method is longer than ${methodBytesMax} bytes`);
    return bytes.toString("latin1", start, end);
  }

  #version(bytes: Buffer, start: number, end: number): void {
    const minor = bytes[end - 1]! - 0x30;
    if (matchesAt(bytes, start, end - 1, versionPrefix) && (minor === 0 || minor === 1)) {
      this.minorVersion = minor;
      return;
    }
    if (/^HTTP\/[0-9]\.[0-9]$/.test(bytes.toString("latin1", start, end))) {
      throw new ScaleError("version_unsupported", "the HTTP version is neither 1.1 nor 1.0");
    }
    throw this.malformed("the request line does not end in an HTTP version");
  }

  /** origin-form, absolute-form or "*", and for CONNECT authority-form (RFC 9112 §3.2). */
  #targetForm(bytes: Buffer, start: number, end: number): void {
    if (this.method === connectMethod) this.#authorityForm(bytes, start, end);
    else if (bytes[start] === SLASH) this.target = targets.at(bytes, start, end);
    else if (this.method === "OPTIONS" && end - start === 1 && bytes[start] === 0x2a) this.target = "*";
    else this.#absoluteForm(bytes, start, end);
  }

  #absoluteForm(bytes: Buffer, start: number, end: number): void {
    const scheme = schemes.find((each) => equalsIgnoringCase(bytes, start, start + each.length, each));
    if (!scheme) throw this.malformed("the request target is neither a path nor an http URL");
    const authorityStart = start + scheme.length;
    let at = authorityStart;
    while (at < end && bytes[at] !== SLASH && bytes[at] !== 0x3f) at++;
    this.authority = this.#authorityAt(bytes, authorityStart, at);
    this.#namesAuthority = true;
    const rest = bytes.toString("latin1", at, end);
    if (rest === "" && this.method === "OPTIONS") this.target = "*";
    else this.target = rest.startsWith("/") ? rest : `/${rest}`;
  }

  /** uri-host ":" port, and the port has to be there (RFC 9112 §3.2.3). */
  #authorityForm(bytes: Buffer, start: number, end: number): void {
    this.authority = this.target = this.#authorityAt(bytes, start, end);
    this.#namesAuthority = true;
    if (!portAtEnd.test(this.target)) throw this.malformed("CONNECT does not ask for HOST:PORT");
  }

  #host(bytes: Buffer, start: number, end: number): void {
    if (++this.#hostFields > 1) throw this.malformed("Host is given twice");
    const authority = this.#authorityAt(bytes, start, end);
    if (!this.#namesAuthority) this.authority = authority;
    else if (this.method === connectMethod && !isHostOf(authority, this.target)) {
      throw this.malformed("Host is not what CONNECT asks for");
    }
  }

  /** uri-host [ ":" port ] (RFC 9110 §7.2): no userinfo, no slash, a port that is one. */
  #authorityAt(bytes: Buffer, start: number, end: number): string {
    // Nearly every request names the host that the one before it named, which was found valid.
    if (isText(bytes, start, end, this.#lastAuthority)) return this.#lastAuthority;
    let at = start;
    if (bytes[at] === 0x5b) {
      at++;
      while (ipLiteralByte[bytes[at]!] === 1) at++;
      if (bytes[at++] !== 0x5d || at - start < 4) throw this.malformed("Host is not a host");
    } else while (at < end && hostByte[bytes[at]!] === 1) at++;
    if (at === start || at > end) throw this.malformed("Host is not a host");
    if (at < end) this.#port(bytes, at, end);
    return (this.#lastAuthority = bytes.toString("latin1", start, end));
  }

  #port(bytes: Buffer, colon: number, end: number): void {
    let port = 0;
    for (let at = colon + 1; at < end; at++) {
      const digit = bytes[at]! - 0x30;
      port = digit >= 0 && digit <= 9 ? port * 10 + digit : Number.NaN;
    }
    if (bytes[colon] !== COLON || end - colon > 6 || !(port >= 1 && port <= 65_535)) {
      throw this.malformed("Host is not a host with an optional port");
    }
  }

  #badTarget(byte: number): ScaleError {
    const what = byte > 0x7f ? "a byte above 0x7f" : byte === 0x23 ? '"#"' : undefined;
    return this.malformed(
      what === undefined ? "the request line is not METHOD TARGET HTTP/1.1" : `the request target holds ${what}`,
    );
  }

  #targetTooLong(): ScaleError {
    return new ScaleError("target_too_long", `the request target is longer than ${this.limits.targetBytesMax} bytes`);
  }
}

const portAtEnd = /:\d+$/;

/** Whether Host is the target of a CONNECT, or its host alone, as some clients say it: whoever reads one of the two reads the other. */
function isHostOf(authority: string, target: string): boolean {
  const [host, asked] = [authority.toLowerCase(), target.toLowerCase()];
  return host === asked || host === asked.replace(portAtEnd, "");
}

/** What is said anew, or not at all, in the head that is sent on: HTTP/1.0 has no expectations (RFC 9110 §10.1.1). */
function isOurs(id: number, isOld: boolean): boolean {
  return id === known.host || id === known.underscored || (isOld && id === known.expect);
}

/** Whether a TE field's list holds "trailers" (RFC 9110 §10.1.4). TE comes with few requests: this need not be fast. */
function namesTrailers(bytes: Buffer, start: number, end: number): boolean {
  return /(?:^|,)[ \t]*trailers[ \t]*(?:,|$)/i.test(bytes.toString("latin1", start, end));
}
