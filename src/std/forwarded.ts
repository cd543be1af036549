/**
 * Who the client is, as the proxies before us tell it: X-Forwarded-For and Forwarded (RFC 7239), read from the right. Pure. Whether a
 * request's fields may be believed at all is the caller's to know; what else such fields say is lb/rewrite.ts' and app/client.ts'.
 */
import { parseAddress } from "./cidr.ts";

/** Whether an address belongs to a proxy whose word counts. */
export type Trust = (address: string) => boolean;

/** A dual-stack listener reports IPv4 peers as ::ffff:10.0.0.1 (RFC 4291 §2.5.5.2). */
export function unmapped(address: string): string {
  return address.startsWith("::ffff:") && address.includes(".") ? address.slice(7) : address;
}

/** The IP address of one node, which may come with brackets and a port; undefined for "unknown", "_hidden", or an attack. */
export function addressOf(node: string): string | undefined {
  const [, bracketed, dotted] = /^(?:\[([^\]]+)\]|([\d.]+))(?::\d{1,5})?$/.exec(node) ?? [];
  const address = unmapped(bracketed ?? dotted ?? node);
  return parseAddress(address) === undefined ? undefined : address;
}

/** Index in `nodes` of the client, -1 for the peer itself: each trusted address vouches for the one before it. */
export function clientIndex(nodes: readonly string[], trusted: Trust): number {
  let index = nodes.length;
  while (index > 0) {
    const address = addressOf(nodes[index - 1]!);
    // Whoever stands behind what is no address, the last one a proxy has vouched for comes after it.
    if (address === undefined) break;
    index--;
    if (!trusted(address)) break;
  }
  return index === nodes.length ? -1 : index;
}

/** The client of an X-Forwarded-For that a trusted `peer` sent. */
export function clientOfList(list: string, peer: string, trusted: Trust): string {
  const nodes = list.split(",").map((node) => node.trim());
  const index = clientIndex(nodes, trusted);
  return index === -1 ? peer : addressOf(nodes[index]!)!;
}

/** What one proxy says of whom it got the request from. */
export interface ForwardedElement {
  readonly for?: string;
  readonly proto?: string;
  readonly host?: string;
}

const pair = /[ \t]*(?:([\w!#$%&'*+.^`|~-]+)=(?:([\w!#$%&'*+.^`|~-]+)|"((?:[^"\\]|\\.)*)"))?[ \t]*([;,]|$)/y;

/** The elements of Forwarded, leftmost first; undefined if it is not what RFC 7239 §4 says, or a parameter comes twice in one. */
export function parseForwarded(text: string): readonly ForwardedElement[] | undefined {
  const elements: ForwardedElement[] = [];
  let element: { [name: string]: string } = {};
  pair.lastIndex = 0;
  for (;;) {
    const [, name, token, quoted, separator] = pair.exec(text) ?? [];
    if (separator === undefined) return undefined;
    if (name !== undefined) {
      const key = name.toLowerCase();
      if (Object.hasOwn(element, key)) return undefined;
      element[key] = token ?? quoted!.replaceAll(/\\(.)/g, "$1");
    }
    if (separator === ";") continue;
    // An empty element of a list is none (RFC 9110 §5.6.1).
    if (Object.keys(element).length > 0) elements.push(element);
    element = {};
    if (separator === "") return elements;
  }
}

/** An address, or what stands in its place, as Forwarded writes it (RFC 7239 §6). */
export function forwardedNode(node: string): string {
  const address = addressOf(node);
  if (address === undefined) return "unknown";
  return address.includes(":") ? `"[${address}]"` : address;
}
