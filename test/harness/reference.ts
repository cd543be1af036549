// A second reading of RFC 9112, by regular expressions over whole texts where the balancer's is a table-driven scanner: what both agree on is
// unlikely to be a misreading of one. Strict: whatever is not surely one request is none. Text is latin1.

export interface ReadRequest {
  readonly kind: "request";
  /** Bytes it takes of the text. */
  readonly length: number;
  readonly method: string;
  readonly target: string;
  readonly host: string;
  readonly body: string;
  /** It is the connection's last. */
  readonly closes: boolean;
}

export type Reading = ReadRequest | { readonly kind: "bad"; readonly why: string } | { readonly kind: "incomplete" };

const bad = (why: string): Reading => ({ kind: "bad", why });
const incomplete: Reading = { kind: "incomplete" };

const requestLine = /^([\w!#$%&'*+.^`|~-]{1,32}) ([\x21-\x22\x24-\x7e]+) HTTP\/1\.([01])$/;
const fieldLine = /^([\w!#$%&'*+.^`|~-]+):[ \t]*(.*?)[ \t]*$/;
const authority = /^(?:[A-Za-z0-9._~-]+|\[[0-9a-fA-F:.]{2,}\])(?::([0-9]{1,5}))?$/;
// eslint-disable-next-line no-control-regex
const badByte = /[\0-\x08\n\x0b\x0c\x0e-\x1f\x7f]|\r(?!$)/;

type Fields = readonly (readonly [name: string, value: string])[];

/** Reads the request that `text` begins with. A CONNECT is none: nothing says that it may be. */
export function readRequest(text: string): Reading {
  const skipped = text.startsWith("\r\n") ? 2 : 0;
  const head = readLines(text.slice(skipped), requestLine);
  if (!("lines" in head)) return head;
  const [start = "", ...lines] = head.lines;
  const [, method = "", target = "", minor = ""] = requestLine.exec(start) ?? [];
  const fields = fieldsOf(lines);
  const hosts = valuesOf(fields, "host");
  if (hosts.length > 1 || (hosts.length === 0 && minor === "1")) return bad("Host");
  const place = placeOf(method, target, hosts[0] ?? "");
  if (place === undefined || !isAuthority(place.host, hosts)) return bad("target or host");
  const body = readBody(text.slice(skipped + head.length), fields, minor);
  if (body.kind !== "body") return body;
  const options = valuesOf(fields, "connection").flatMap((value) => value.toLowerCase().split(/[ \t,]+/));
  const closes = options.includes("close") || (minor === "0" && !options.includes("keep-alive"));
  return { kind: "request", length: skipped + head.length + body.length, method, ...place, body: body.data, closes };
}

/** Lines up to the empty one, each checked as it completes. */
function readLines(text: string, first: RegExp | undefined): Reading | { lines: string[]; length: number } {
  const lines: string[] = [];
  let at = 0;
  for (;;) {
    const end = text.indexOf("\r\n", at);
    const line = text.slice(at, end === -1 ? undefined : end);
    if (badByte.test(line)) return bad("a control byte");
    if (end === -1) return incomplete;
    at = end + 2;
    if (line === "" && (lines.length > 0 || first === undefined)) return { lines, length: at };
    if (!(lines.length === 0 && first !== undefined ? first : fieldLine).test(line)) return bad(`line ${line}`);
    lines.push(line);
  }
}

function fieldsOf(lines: readonly string[]): Fields {
  return lines.map((line) => {
    const [, name = "", value = ""] = fieldLine.exec(line) ?? [];
    return [name.toLowerCase(), value] as const;
  });
}

const valuesOf = (fields: Fields, name: string): string[] =>
  fields.filter(([each]) => each === name).map(([, value]) => value);

function isAuthority(host: string, hosts: readonly string[]): boolean {
  const given = hosts.length === 0 ? [host].filter(Boolean) : [host, ...hosts];
  return given.every((each) => {
    const match = authority.exec(each);
    return match !== null && (match[1] === undefined || (Number(match[1]) >= 1 && Number(match[1]) <= 65_535));
  });
}

/** The path and host that a target means, whatever form it has (RFC 9112 §3.2). */
function placeOf(method: string, target: string, host: string): { target: string; host: string } | undefined {
  if (method === "CONNECT") return undefined;
  if (target.startsWith("/")) return { target, host };
  if (target === "*") return method === "OPTIONS" ? { target, host } : undefined;
  const [, named = "", rest = ""] = /^https?:\/\/([^/?]*)(.*)$/i.exec(target) ?? [];
  if (named === "") return undefined;
  if (rest === "" && method === "OPTIONS") return { target: "*", host: named };
  return { target: rest.startsWith("/") ? rest : `/${rest}`, host: named };
}

type Body = { readonly kind: "body"; readonly data: string; readonly length: number };

function readBody(text: string, fields: Fields, minor: string): Reading | Body {
  const lengths = new Set(valuesOf(fields, "content-length"));
  const codings = valuesOf(fields, "transfer-encoding");
  if ([...lengths].some((value) => !/^\d{1,15}$/.test(value))) return bad("Content-Length");
  if (new Set([...lengths].map(Number)).size > 1) return bad("Content-Length twice");
  if (codings.length > 0) {
    if (codings.length > 1 || codings[0]!.toLowerCase() !== "chunked" || lengths.size > 0 || minor === "0")
      return bad("coding");
    return readChunks(text);
  }
  const length = Number([...lengths][0] ?? 0);
  return text.length < length ? incomplete : { kind: "body", data: text.slice(0, length), length };
}

function readChunks(text: string): Reading | Body {
  let data = "";
  let at = 0;
  for (;;) {
    const rest = text.slice(at);
    const size = /^([0-9a-f]{1,13})(?:;[\t\x20-\x7e\x80-\xff]{0,256})?\r\n/i.exec(rest);
    if (size === null)
      return /^(?:[0-9a-f]{0,13}|[0-9a-f]{1,13}(?:;[\t\x20-\x7e\x80-\xff]{0,256})?\r?)$/i.test(rest)
        ? incomplete
        : bad("chunk size");
    at += size[0].length;
    const bytes = Number.parseInt(size[1]!, 16);
    if (bytes === 0) break;
    const end = text.slice(at + bytes, at + bytes + 2);
    if (!"\r\n".startsWith(end)) return bad("chunk end");
    if (end.length < 2) return incomplete;
    data += text.slice(at, at + bytes);
    at += bytes + 2;
  }
  const trailers = readLines(text.slice(at), undefined);
  return "lines" in trailers ? { kind: "body", data, length: at + trailers.length } : trailers;
}
