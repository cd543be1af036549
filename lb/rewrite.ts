/**
 * What a target is told about the client and the request: X-Forwarded-For, -Proto and -Host, Forwarded, X-Real-IP, X-Request-Id and
 * traceparent. Invariant: a target never sees who the client is as an untrusted peer wrote it; only networks of --trusted-proxies are
 * believed, read from the right. Hot when a request brings none of them.
 */
import type { Scheme } from "../src/config/services.ts";
import {
  addressOf,
  clientIndex,
  type ForwardedElement,
  forwardedNode,
  parseForwarded,
  type Trust,
  unmapped,
} from "../src/std/forwarded.ts";
import { isSafeRequestId, makeRequestId } from "../src/std/request_id.ts";
import { continueTrace, newTraceparent } from "../src/std/traceparent.ts";
import { type Fields, known } from "../src/wire/fields.ts";
import { type AddedFields, nothingShared, type RequestHead, SharedFields } from "../src/wire/message.ts";

/** The other end of a client's connection. */
export interface Peer {
  readonly address: string;
  /** The address as Forwarded writes it: made once, said with every request. */
  readonly node: string;
  readonly isTrusted: boolean;
}

export function peerOf(remoteAddress: string, trusted: Trust): Peer {
  const address = unmapped(remoteAddress);
  // Not a string of its own where it reads the same: there may be as many as connections.
  const node = address.includes(":") ? forwardedNode(address) : address;
  return { address, node, isTrusted: trusted(address) };
}

export interface RewriteRules {
  readonly trusted: Trust;
  /** Share of the traces begun here that are marked as sampled. */
  readonly traceSample: number;
}

export interface Rewritten {
  readonly requestId: string;
  /** The client as far as trusted proxies can tell. */
  readonly clientAddress: string;
  /** What the client's own connection was, as far as trusted proxies can tell. */
  readonly scheme: Scheme;
  /** Who the client is, where the request says nothing of it: the same with every request. */
  readonly introduction: SharedFields;
  /** Of this request alone. Header rules add to it. */
  readonly added: string[];
}

/** Takes what a peer said of these out of `head` and returns ours. */
export function rewrite(head: RequestHead, peer: Peer, rules: RewriteRules): Rewritten {
  const claims = takeClaims(head.fields, peer);
  const requestId = claims?.requestId ?? makeRequestId();
  const traceparent = traceparentOf(head.fields, claims, rules);
  const added = ["X-Request-Id", requestId, "traceparent", traceparent];
  if (claims === undefined || !peer.isTrusted || !speaksForAnother(claims)) {
    const introduction = introductionOf(peer, head.authority);
    return { requestId, clientAddress: peer.address, scheme: "http", introduction, added };
  }
  const origin = originOf(claims, peer, rules.trusted);
  const scheme = origin.proto ?? "http";
  const host = origin.host ?? head.authority;
  const { chain, address } = origin;
  added.push(
    ...introduce(chain, address, scheme, host, `${origin.before}${element(origin.node, host, scheme)}${origin.after}`),
  );
  return { requestId, clientAddress: address, scheme, introduction: nothingShared, added };
}

function speaksForAnother({ forwardedFor, forwarded, proto, host }: Claims): boolean {
  return (forwardedFor ?? forwarded ?? proto ?? host) !== undefined;
}

function introduce(chain: string, address: string, scheme: Scheme, host: string, forwarded: string): AddedFields {
  return [
    "X-Forwarded-For",
    chain,
    "X-Forwarded-Proto",
    scheme,
    ...(host === "" ? [] : ["X-Forwarded-Host", host]),
    "Forwarded",
    forwarded,
    "X-Real-IP",
    address,
  ];
}

/** Of Forwarded: scheme and host stand with the client's own element, they are what its first proxy saw. */
function element(node: string, host: string, scheme: Scheme): string {
  return `for=${node};${host === "" ? "" : `host="${host}";`}proto=${scheme}`;
}

/** Client → what is said of it and of the host it asked for last. */
const introductions = new Map<string, { readonly host: string; readonly introduction: SharedFields }>();
/** Clients remembered, and the longest host that is: some 4 MB. */
const introductionsMax = 4_096;
const introducedHostCharactersMax = 255;

/** What a target is told about a client that is nobody's proxy, or says nothing of whom it speaks for. */
function introductionOf({ address, node }: Peer, host: string): SharedFields {
  const known = introductions.get(address);
  if (known?.host === host) return known.introduction;
  const introduction = new SharedFields(introduce(address, address, "http", host, element(node, host, "http")));
  if (host.length > introducedHostCharactersMax) return introduction;
  if (introductions.size >= introductionsMax) introductions.clear();
  introductions.set(address, { host, introduction });
  return introduction;
}

/** Where a request came from, told by trusted proxies. */
interface Origin {
  readonly address: string;
  readonly node: string;
  readonly proto: Scheme | undefined;
  readonly host: string | undefined;
  /** X-Forwarded-For as it goes on. */
  readonly chain: string;
  /** Forwarded's elements around the client's own. */
  readonly before: string;
  readonly after: string;
}

/** Proxies that a chain keeps, the nearest ones: each one's address appears twice in what a target is told. */
const chainNodesMax = 32;

/** X-Forwarded-For beats Forwarded: many proxies write the first and let a client's own Forwarded pass. */
function originOf(claims: Claims, peer: Peer, trusted: Trust): Origin {
  const elements =
    claims.forwardedFor === undefined
      ? (parseForwarded(claims.forwarded ?? "") ?? [])
      : claims.forwardedFor.split(",").map((node) => ({ for: node.trim() }));
  const kept: readonly ForwardedElement[] = elements.slice(-chainNodesMax);
  const nodes = kept.map((element) => addressOf(element.for ?? "") ?? "unknown");
  const index = clientIndex(nodes, trusted);
  nodes.push(peer.address);
  const at = index === -1 ? nodes.length - 1 : index;
  const others = (some: readonly string[]) => some.map((node) => `for=${forwardedNode(node)}`);
  return {
    address: nodes[at]!,
    node: forwardedNode(nodes[at]!),
    proto: claims.proto ?? validProto(kept[at]?.proto),
    host: claims.host ?? validHost(kept[at]?.host),
    chain: nodes.join(", "),
    before: [...others(nodes.slice(0, at)), ""].join(", "),
    after: ["", ...others(nodes.slice(at + 1))].join(", "),
  };
}

interface Claims {
  requestId?: string;
  forwardedFor?: string;
  forwarded?: string;
  proto?: Scheme | undefined;
  host?: string | undefined;
  /** Empty if it came more than once, which makes it invalid (Trace Context §3.2.1). */
  traceparent?: string;
}

/**
 * Drops every field that says who the client is, and what they said comes back; undefined if there was none. What else proxies say in
 * X-Forwarded-* (a prefix, a port) passes from a trusted peer.
 */
function takeClaims(fields: Fields, peer: Peer): Claims | undefined {
  let claims: Claims | undefined;
  for (let index = 0; index < fields.count; index++) {
    const id = fields.id(index);
    if (id < known.forwarded || id > known.traceparent) continue;
    if (id === known.forwardedOther && peer.isTrusted) continue;
    claims ??= {};
    claim(claims, id, fields.value(index));
    fields.drop(index);
  }
  return claims;
}

/** Of scheme and host the last one counts: the nearest proxy's. */
function claim(claims: Claims, id: number, value: string): void {
  if (id === known.requestId && isSafeRequestId(value)) claims.requestId = value;
  else if (id === known.forwardedProto) claims.proto = validProto(lastOf(value));
  else if (id === known.forwardedHost) claims.host = validHost(lastOf(value));
  else if (id === known.forwardedFor) claims.forwardedFor = joined(claims.forwardedFor, value);
  else if (id === known.forwarded) claims.forwarded = joined(claims.forwarded, value);
  else if (id === known.traceparent) claims.traceparent = claims.traceparent === undefined ? value : "";
}

function joined(before: string | undefined, value: string): string {
  return before === undefined ? value : `${before}, ${value}`;
}

function lastOf(list: string): string {
  return list.slice(list.lastIndexOf(",") + 1).trim();
}

function validProto(proto: string | undefined): Scheme | undefined {
  return proto === "http" || proto === "https" ? proto : undefined;
}

function validHost(host: string | undefined): string | undefined {
  return host !== undefined && /^[\w.:[\]-]{1,255}$/.test(host) ? host : undefined;
}

/** Goes on with the trace that the request names, or begins one; then tracestate belongs to nothing. */
function traceparentOf(fields: Fields, claims: Claims | undefined, { traceSample }: RewriteRules): string {
  const trace = claims?.traceparent === undefined ? undefined : continueTrace(claims.traceparent);
  if (trace !== undefined) return trace.traceparent;
  for (let index = 0; index < fields.count; index++) {
    if (fields.id(index) === known.tracestate) fields.drop(index);
  }
  return newTraceparent(traceSample === 1 || Math.random() < traceSample);
}
