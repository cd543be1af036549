/** Addresses and networks: who is a trusted proxy. Pure; nothing here resolves names. */
import { ExpectedError } from "./units.ts";

/** A network in CIDR notation; IPv4 is held as its IPv4-mapped IPv6 form (RFC 4291 §2.5.5.2), so both compare alike. */
export interface Cidr {
  readonly network: bigint;
  readonly prefixBits: number;
}

const bitsAll = 128;
const mappedPrefix = 0xffffn << 32n;

/** "10.0.0.0/8", "::1/128" or a single address. */
export function parseCidr(text: string): Cidr {
  const [address = "", bits, ...rest] = text.split("/");
  const value = parseAddress(address);
  const width = address.includes(":") ? bitsAll : 32;
  const prefix = bits === undefined ? width : /^\d{1,3}$/.test(bits) ? Number(bits) : Number.NaN;
  if (value === undefined || rest.length > 0 || !(prefix <= width)) {
    throw new ExpectedError("an address or a network such as 10.0.0.0/8");
  }
  const prefixBits = bitsAll - width + prefix;
  return { network: maskOf(value, prefixBits), prefixBits };
}

/** Whether an IP address, as a socket reports it, lies in one of the networks. Anything else does not. */
export function inNetworks(address: string, networks: readonly Cidr[]): boolean {
  const value = parseAddress(address);
  if (value === undefined) return false;
  return networks.some(({ network, prefixBits }) => maskOf(value, prefixBits) === network);
}

/** Answers kept: peers are few, and their addresses come again with every request. */
const answersMax = 1_024;

/** inNetworks() for one list, remembering its latest answers. */
export function networkTest(networks: readonly Cidr[]): (address: string) => boolean {
  const answers = new Map<string, boolean>();
  return (address) => {
    const known = answers.get(address);
    if (known !== undefined) return known;
    if (answers.size >= answersMax) answers.clear();
    const answer = inNetworks(address, networks);
    answers.set(address, answer);
    return answer;
  };
}

function maskOf(value: bigint, prefixBits: number): bigint {
  const hostBits = BigInt(bitsAll - prefixBits);
  return (value >> hostBits) << hostBits;
}

/** An IPv4 or IPv6 address as a 128-bit number, undefined for anything else. */
export function parseAddress(text: string): bigint | undefined {
  if (!text.includes(":")) {
    const v4 = parseIpv4(text);
    return v4 === undefined ? undefined : mappedPrefix | v4;
  }
  return parseIpv6(text);
}

/** An address as text, the one form of each (RFC 5952); what is IPv4 inside is written as IPv4. */
export function formatAddress(address: bigint): string {
  if (address >> 32n === 0xffffn) {
    return [24n, 16n, 8n, 0n].map((shift) => (address >> shift) & 0xffn).join(".");
  }
  const groups = Array.from({ length: 8 }, (_, index) =>
    ((address >> BigInt(112 - 16 * index)) & 0xffffn).toString(16),
  );
  const text = groups.join(":");
  // The longest run of zeros, the first of equals, and never a single one.
  const runs = [...text.matchAll(/\b0(?::0)+\b/g)].toSorted((a, b) => b[0].length - a[0].length);
  const run = runs[0];
  if (run === undefined) return text;
  const before = text.slice(0, run.index).replace(/:$/, "");
  const after = text.slice(run.index + run[0].length).replace(/^:/, "");
  return `${before}::${after}`;
}

function parseIpv4(text: string): bigint | undefined {
  const parts = text.split(".");
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255))
    return undefined;
  return parts.reduce((value, part) => (value << 8n) | BigInt(part), 0n);
}

function parseIpv6(text: string): bigint | undefined {
  const [head = "", tail, ...more] = text.split("::");
  if (more.length > 0) return undefined;
  const left = groupsOf(head);
  const right = tail === undefined ? [] : groupsOf(tail);
  if (!left || !right) return undefined;
  const missing = 8 - left.length - right.length;
  if (tail === undefined ? missing !== 0 : missing < 1) return undefined;
  const groups = [...left, ...Array<bigint>(missing).fill(0n), ...right];
  return groups.reduce((value, group) => (value << 16n) | group, 0n);
}

/** The 16-bit groups of one side of "::"; a dotted quad at the end counts as two. */
function groupsOf(text: string): bigint[] | undefined {
  if (text === "") return [];
  const groups: bigint[] = [];
  const parts = text.split(":");
  for (const [index, part] of parts.entries()) {
    if (/^[0-9a-fA-F]{1,4}$/.test(part)) groups.push(BigInt(`0x${part}`));
    else {
      const v4 = index === parts.length - 1 ? parseIpv4(part) : undefined;
      if (v4 === undefined) return undefined;
      groups.push(v4 >> 16n, v4 & 0xffffn);
    }
  }
  return groups;
}
