/**
 * Response heads of HTTP/1.1 and 1.0 (RFC 9112 §4), held to the same rules as requests: an upstream that breaks them is answered for
 * with 502. The reason phrase is dropped: clients should ignore it (§4), and other versions of HTTP have none.
 */
import { known } from "../fields.ts";
import { isInterim, length, opensTunnel, type ResponseHead } from "../message.ts";
import { connectionOf, connectionOption, isHopByHop, persists } from "./connection_options.ts";
import { Framing, notGiven } from "./framing.ts";
import { type HeadLimits, HeadParser } from "./head_parser.ts";
import { isAnswerTo } from "./upgrade.ts";

const versionPrefix = Buffer.from("HTTP/1.", "latin1");

export class ResponseParser extends HeadParser implements ResponseHead {
  status = 0;
  bodyLength: number = length.none;
  hasBody = false;
  /** Whether the upstream lets the connection persist; a body that ends with the connection never does. */
  keepsAlive = true;
  /** Whether the body is chunked on the wire. */
  isChunked = false;
  /** What 101 switches to. */
  upgrade = "";

  readonly #framing = new Framing("upstream_malformed");
  #minorVersion: 0 | 1 = 1;
  #connectionFields = 0;
  #method = "";
  #asked = "";

  constructor(limits: HeadLimits) {
    super(limits, "upstream_malformed");
    this.reset("GET");
  }

  /** Makes ready for the answer to a request with this method that asked to switch to `upgrade`, "" for nothing. */
  reset(method: string, upgrade = ""): void {
    this.#method = method;
    this.#asked = upgrade;
    this.#restart();
  }

  /** Lets go of the head's bytes: what it says of body and connection stays, its fields do not. Another head may follow. */
  release(): void {
    this.#restart();
  }

  #restart(): void {
    this.clear();
    this.#framing.clear();
    this.startLinePending = true;
    this.#connectionFields = 0;
    this.upgrade = "";
  }

  /** status-line = HTTP-version SP 3DIGIT SP [ reason ]; the last SP may be missing where there is no reason. */
  protected override startLine(bytes: Buffer, start: number, end: number): void {
    this.startLinePending = false;
    for (let index = 0; index < versionPrefix.length; index++) {
      if (bytes[start + index] !== versionPrefix[index])
        throw this.malformed("the response does not begin with HTTP/1.");
    }
    const minor = bytes[start + 7]! - 0x30;
    if (minor !== 0 && minor !== 1) throw this.malformed("the response is of an unknown HTTP version");
    this.#minorVersion = minor;
    const status = digitsAt(bytes, start + 9);
    const spaced = bytes[start + 8] === 0x20 && (end === start + 12 || bytes[start + 12] === 0x20);
    if (!spaced || !(status >= 100 && status <= 599))
      throw this.malformed("the response has no status from 100 to 599");
    this.status = status;
  }

  protected override knownField(id: number, bytes: Buffer, start: number, end: number): void {
    if (id === known.contentLength) this.#framing.contentLengthField(bytes, start, end);
    else if (id === known.transferEncoding) this.#framing.transferEncodingField(bytes, start, end);
    else if (id === known.connection) this.#connectionFields++;
  }

  /** Message body length (RFC 9112 §6.3). */
  protected override complete(): void {
    this.#framing.check(this.#minorVersion);
    const { contentLength, isChunked } = this.#framing;
    const isTunnel = opensTunnel(this.#method, this.status);
    const isBare = isInterim(this.status) || this.status === 204 || this.status === 304 || isTunnel;
    this.hasBody = !(this.#method === "HEAD" || isBare);
    this.isChunked = isChunked && this.hasBody;
    // What a tunnel begins with says of a length means nothing (§6.3 item 2).
    if (contentLength !== notGiven && !isTunnel) this.bodyLength = contentLength;
    else this.bodyLength = this.hasBody ? length.unknown : length.none;
    this.#dropHopByHop();
    if (this.hasBody && contentLength === notGiven && !isChunked) this.keepsAlive = false;
    // Framing that 204 must not have (RFC 9112 §6.1, RFC 9110 §8.6) may announce bytes that would be taken for the next response.
    if (this.status === 204 && (isChunked || contentLength > 0)) this.keepsAlive = false;
  }

  /** 101 comes only as the answer to an Upgrade, and says to what (RFC 9110 §15.2.2). */
  #switched(): void {
    this.upgrade = this.fields.join(known.upgrade) ?? "";
    if (this.#asked === "") throw this.malformed("101 came without having been asked for");
    if (!isAnswerTo(this.#asked, this.upgrade)) throw this.malformed("101 switches to a protocol nobody asked for");
  }

  #dropHopByHop(): void {
    const { fields } = this;
    const options = this.#connectionFields > 0 ? connectionOf(fields) : 0;
    if ((options & connectionOption.tooLong) !== 0) throw this.malformed("Connection names too many fields");
    this.keepsAlive = persists(options, this.#minorVersion);
    if (this.status === 101) this.#switched();
    for (let index = 0; index < fields.count; index++) {
      const id = fields.id(index);
      if (id !== known.other && isHopByHop(id)) fields.drop(index);
    }
  }
}

function digitsAt(bytes: Uint8Array, at: number): number {
  let value = 0;
  for (let index = 0; index < 3; index++) {
    const digit = bytes[at + index]! - 0x30;
    if (digit < 0 || digit > 9) return Number.NaN;
    value = value * 10 + digit;
  }
  return value;
}
