/**
 * The same client to the same target, as long as it can be: each target owns points on a ring, a key belongs to the owner of the next
 * point, and when a target comes or goes only its own keys move. No target is given more than a quarter above its fair share of the
 * requests under way: what is over the bound goes on to the next owner.
 * Sources: Karger et al., "Consistent Hashing and Random Trees", STOC 1997; Mirrokni, Thorup, Zadimoghaddam, "Consistent Hashing with
 * Bounded Loads", SODA 2018 (ε = 0.25).
 */
import { hash32 } from "../../src/std/hash.ts";
import { type Candidate, isOpen } from "./candidate.ts";

/** Points of the lightest target; others have as many times more as they weigh more, up to the maximum. */
const pointsMin = 100;
const pointsMax = 10_000;
/** 1 + ε. */
const boundFactor = 1.25;

export interface Member extends Candidate {
  readonly weight: number;
}

export class Ring<M extends Member> {
  readonly #members: readonly M[];
  /** Where the points lie, ascending, and the index of the member that owns each. */
  readonly #places: Float64Array;
  readonly #owners: Uint32Array;

  constructor(members: readonly M[]) {
    this.#members = members;
    const lightest = Math.min(...members.map(({ weight }) => weight));
    const points = members.flatMap(({ name, weight }, owner) => {
      const count = Math.min(pointsMax, Math.round((pointsMin * weight) / lightest));
      return Array.from({ length: count }, (_, index) => ({ place: hash32(`${name}#${index}`), owner }));
    });
    points.sort((a, b) => a.place - b.place || a.owner - b.owner);
    this.#places = Float64Array.from(points, ({ place }) => place);
    this.#owners = Uint32Array.from(points, ({ owner }) => owner);
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
