/**
 * Who reads: what they must see, and which replica they read from. One for each request or job; database.ts decides by it where a
 * statement runs, runtime/consistency.ts carries it from one request of a client to the next.
 *
 * Invariant: the floor only rises. What a reader has been shown, by a replica or by the primary, is at or below its floor, or on the
 * replica it is pinned to.
 */
import { withDeadline } from "../../std/deadline.ts";
import { later, type Position } from "./position.ts";

/** No replica has passed it: the primary serves. For a write whose position nobody could tell. */
export const beyondAllReplicas: Position = { timeline: 0, lsn: 0n };

/** A primary that has answered a write and then says nothing must not hold the response to it. */
const positionWaitMs = 1_000;

export class Reader {
  /** Chooses the replica, the same for each read with this key; without it reads are spread by load. */
  key: string | undefined;
  /** Everything up to here must be seen. */
  floor: Position | undefined;
  /** Id of the replica that it reads from. */
  pin: string | undefined;
  /** Floor or pin have changed since this reader was made. */
  isChanged = false;
  #pending: Promise<void> | undefined;

  constructor(known: { readonly key?: string; readonly floor?: Position; readonly pin?: string } = {}) {
    this.key = known.key;
    this.floor = known.floor;
    this.pin = known.pin;
  }

  /** Must see everything up to a position that is on its way; the primary serves where it does not come. */
  mustSee(position: Promise<Position>): void {
    const raised = withDeadline(position, positionWaitMs, () => new Error("no position in time")).then(
      (known) => this.#raise(known),
      () => this.#raise(beyondAllReplicas),
    );
    this.#pending = Promise.all([this.#pending, raised]).then(() => undefined);
  }

  pinTo(replica: string): void {
    if (this.pin === replica) return;
    this.pin = replica;
    this.isChanged = true;
  }

  /** Resolves when the floor is known; undefined where it is already. Never rejects. */
  settled(): Promise<void> | undefined {
    return this.#pending;
  }

  #raise(position: Position): void {
    const isUnknown = position === beyondAllReplicas || this.floor === beyondAllReplicas;
    this.floor = isUnknown ? beyondAllReplicas : this.floor === undefined ? position : later(this.floor, position);
    this.isChanged = true;
  }
}
