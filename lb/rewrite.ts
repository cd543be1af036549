/**
 * What a target is told about the client: X-Forwarded-For, -Proto, -Host, X-Real-IP and X-Request-Id. Invariant: a target never sees
 * one of these as an untrusted peer wrote it; only networks of --trusted-proxies are believed. Hot when a request brings none of them.
 */
import { type Cidr, inNetworks, parseAddress } from "../src/std/cidr.ts";
import { isSafeRequestId, makeRequestId } from "../src/std/request_id.ts";
import { type Fields, known } from "../src/wire/fields.ts";
import type { AddedFields, RequestHead } from "../src/wire/message.ts";

/** The other end of a client's connection. */
export interface Peer {
  readonly address: string;
  readonly isTrusted: boolean;
}

export function peerOf(remoteAddress: string, trusted: readonly Cidr[]): Peer {
  // A dual-stack listener reports IPv4 clients in their IPv6 form (RFC 4291 §2.5.5.2).
  const address = remoteAddress.startsWith("::ffff:") ? remoteAddress.slice(7) : remoteAddress;
  return { address, isTrusted: inNetworks(address, trusted) };
}

export interface Rewritten {
  readonly requestId: string;
  /** The client as far as trusted proxies can tell. */
  readonly clientAddress: string;
  readonly added: AddedFields;
}

/** Takes the client's word for itself out of `head` and returns ours. */
export function rewrite(head: RequestHead, peer: Peer, trusted: readonly Cidr[]): Rewritten {
  const claims = takeClaims(head.fields);
  const requestId = claims?.requestId ?? makeRequestId();
  const believed = peer.isTrusted ? claims : undefined;
  const chain = believed?.forwardedFor;
  const clientAddress = chain === undefined ? peer.address : clientOf(chain, peer.address, trusted);
  const forwardedFor = chain === undefined ? peer.address : `${chain}, ${peer.address}`;
  const added = [
    "X-Forwarded-For",
    forwardedFor,
    "X-Forwarded-Proto",
    believed?.proto ?? "http",
    "X-Forwarded-Host",
    believed?.host ?? head.authority,
    "X-Real-IP",
    clientAddress,
    "X-Request-Id",
    requestId,
  ];
  return { requestId, clientAddress, added };
}

interface Claims {
  requestId?: string;
  forwardedFor?: string;
  proto?: string;
  host?: string;
}

/** Drops every field that says who the client is and returns what they said; undefined if there was none. */
function takeClaims(fields: Fields): Claims | undefined {
  let claims: Claims | undefined;
  for (let index = 0; index < fields.count; index++) {
    const id = fields.id(index);
    if (id < known.forwarded || id > known.requestId) continue;
    claims ??= {};
    claim(claims, id, fields.value(index));
    fields.drop(index);
  }
  return claims;
}

function claim(claims: Claims, id: number, value: string): void {
  if (id === known.requestId && isSafeRequestId(value)) claims.requestId = value;
  else if (id === known.forwardedProto && (value === "http" || value === "https")) claims.proto = value;
  else if (id === known.forwardedHost && /^[\w.:[\]-]{1,255}$/.test(value)) claims.host = value;
  else if (id === known.forwardedFor && value !== "") {
    claims.forwardedFor = claims.forwardedFor === undefined ? value : `${claims.forwardedFor}, ${value}`;
  }
}

/** Right to left: each trusted address vouches for the one before it. What is no address ends the chain. */
function clientOf(chain: string, peerAddress: string, trusted: readonly Cidr[]): string {
  let client = peerAddress;
  for (const address of chain.split(",").toReversed()) {
    const candidate = address.trim();
    if (parseAddress(candidate) === undefined) break;
    client = candidate;
    if (!inNetworks(candidate, trusted)) break;
  }
  return client;
}
