/**
 * Which of a Cluster's 16,384 slots a key is in, and which primary has a slot, as the Cluster itself tells it. Pure; asking it is
 * cluster_map.ts.
 */
import { addressOf } from "../../std/redis_url.ts";

const slotsCount = 16_384;
const crcPolynomial = 0x1021;
const crcTable = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8;
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ crcPolynomial : crc << 1;
  return crc;
});

/** CRC-16/XMODEM of the key, or of what lies between its first brace and the next one (Redis Cluster specification, "Hash tags"). */
export function slotOf(key: string): number {
  const open = key.indexOf("{");
  const close = open < 0 ? -1 : key.indexOf("}", open + 1);
  let crc = 0;
  for (const byte of Buffer.from(close > open + 1 ? key.slice(open + 1, close) : key))
    crc = ((crc << 8) & 0xffff) ^ crcTable[(crc >> 8) ^ byte]!;
  return crc % slotsCount;
}

export class Slots {
  readonly #addresses: string[] = [];
  /** Slot → place in the addresses and one more; 0: nobody has it. */
  readonly #owners = new Uint16Array(slotsCount);

  /** HOST:PORT of the primary. */
  ownerOf(slot: number): string | undefined {
    return this.#addresses[this.#owners[slot]! - 1];
  }

  /** Every primary that was told to have a slot. */
  get addresses(): readonly string[] {
    return this.#addresses;
  }

  assign(first: number, last: number, address: string): void {
    const known = this.#addresses.indexOf(address);
    const place = known < 0 ? this.#addresses.push(address) : known + 1;
    this.#owners.fill(place, first, last + 1);
  }
}

/** The host of HOST:PORT, without an IPv6 address's brackets. */
export function hostIn(address: string): string {
  return address.slice(0, address.lastIndexOf(":")).replace(/^\[(.*)\]$/, "$1");
}

/** From the answer to CLUSTER SLOTS. A server that does not know its own name, or says it has none, is the one that was asked. */
export function slotsIn(reply: unknown, askedHost: string): Slots {
  const slots = new Slots();
  for (const range of reply as readonly [first: number, last: number, primary: readonly [string | null, number]][]) {
    const [first, last, [host, port]] = range;
    slots.assign(first, last, addressOf({ host: host === null || host === "" ? askedHost : host, port }));
  }
  return slots;
}

/** What a server says that does not have the slot; in each case it has done nothing. */
export type Redirect =
  { readonly kind: "moved" | "ask"; readonly slot: number; readonly address: string } | { readonly kind: "tryagain" };

/** From the text of an error; undefined for any other. */
export function redirectIn(text: string, askedHost: string): Redirect | undefined {
  if (text.startsWith("TRYAGAIN")) return { kind: "tryagain" };
  const [, kind, slot, host, port] = /^(MOVED|ASK) (\d+) (.*):(\d+)/.exec(text) ?? [];
  if (kind === undefined) return undefined;
  const address = addressOf({ host: host === "" ? askedHost : host!, port: Number(port) });
  return { kind: kind === "MOVED" ? "moved" : "ask", slot: Number(slot), address };
}
