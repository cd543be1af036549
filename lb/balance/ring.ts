/**
 * The same client to the same target, as long as it can be: each target owns points on a ring, a key belongs to the owner of the next
 * point, and when a target comes or goes only its own keys move. No target is given more than a quarter above its fair share of the
 * requests under way: what is over the bound goes on to the next owner.
 * Sources: Karger et al., "Consistent Hashing and Random Trees", STOC 1997; Mirrokni, Thorup, Zadimoghaddam, "Consistent Hashing with
 * Bounded Loads", SODA 2018 (ε = 0.25).
 */
import { hash32, mix32 } from "../../src/std/hash.ts";
import { type Candidate, isOpen } from "./candidate.ts";

/** Points of the lightest target; others have as many times more as they weigh more, up to the maximum. */
const pointsMin = 100;
const pointsMax = 10_000;
/** A point is its place and its owner in one number, so that sorting them is sorting numbers; 52 bits in all. */
const ownersMax = 2 ** 20;
/** Keeps a member's points apart: 2³² divided by the golden ratio. */
const pointStep = 0x9e3779b9;
/** 1 + ε. */
const boundFactor = 1.25;

export interface Member extends Candidate {
  readonly weight: number;
}

export class Ring<M extends Member> {
  readonly #members: readonly M[];
  readonly #weights: readonly number[];
  /** Where the points lie, ascending, and the index of the member that owns each. */
  readonly #places: Float64Array;
  readonly #owners: Uint32Array;

  constructor(members: readonly M[]) {
    this.#members = members;
    this.#weights = members.map(({ weight }) => weight);
    const points = pointsOf(members);
    this.#places = points.map((point) => Math.floor(point / ownersMax));
    this.#owners = Uint32Array.from(points, (point) => point % ownersMax);
  }

  /** Whether it is what one made anew of these members would be: making one takes a while. */
  isOf(members: readonly M[]): boolean {
    return (
      members.length === this.#members.length &&
      members.every((member, index) => member === this.#members[index] && member.weight === this.#weights[index])
    );
  }

  /** The key's owner, or the first after it that is open and below the bound; undefined if none is open. Hot: no allocation. */
  pick(key: string, tried: readonly M[]): M | undefined {
    const bound = this.#boundPerShare();
    const start = this.#after(hash32(key));
    let open: M | undefined;
    for (let step = 0; step < this.#places.length; step++) {
      const member = this.#members[this.#owners[(start + step) % this.#places.length]!]!;
      if (!isOpen(member, tried)) continue;
      if (member.requestsInFlight < Math.ceil(bound * member.share)) return member;
      open ??= member;
    }
    return open;
  }

  /** Requests that one unit of share may have under way, with the one to be placed. */
  #boundPerShare(): number {
    let requests = 1;
    let shares = 0;
    for (let index = 0; index < this.#members.length; index++) {
      const member = this.#members[index]!;
      requests += member.requestsInFlight;
      shares += member.share;
    }
    return (boundFactor * requests) / shares;
  }

  /** Index of the first point at or after `place`; past the last one comes the first. */
  #after(place: number): number {
    let [low, high] = [0, this.#places.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#places[middle]! < place) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** Every member's points, ascending. */
function pointsOf(members: readonly Member[]): Float64Array {
  const lightest = Math.min(...members.map(({ weight }) => weight));
  const counts = members.map(({ weight }) => Math.min(pointsMax, Math.round((pointsMin * weight) / lightest)));
  const points = new Float64Array(counts.reduce((sum, count) => sum + count, 0));
  let at = 0;
  for (const [owner, { name }] of members.entries()) {
    const seed = hash32(name);
    for (let point = 0; point < counts[owner]!; point++) {
      points[at++] = mix32(seed + Math.imul(point, pointStep)) * ownersMax + owner;
    }
  }
  return points.toSorted();
}
