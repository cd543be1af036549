/** Whom limits hold responsible: what is one client to all of them, connections and requests alike. Pure. */
import { parseAddress } from "../../src/std/cidr.ts";

/** An address as such; of IPv6 the network, because a subscriber has 2^64 addresses (RFC 6177). */
export function clientKey(address: string): string {
  return address.includes(":") ? ((parseAddress(address) ?? 0n) >> 64n).toString(16) : address;
}
