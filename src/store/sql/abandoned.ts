/**
 * Statements that nobody waits for any more: the client has left, the request's time is up, the job was told to stop.
 *
 *     running ── its owner has left ──▶ abandoned ── nobody else's is on its connection ──▶ cancelling ──▶ over
 *                                           └── it is answered beside others: its result is dropped ──▶ over
 *
 * A cancellation hits whatever the connection runs when it arrives. So one is sent only where everything sent on a connection is abandoned;
 * meanwhile nothing else is sent on it, until all of that is answered and the server has closed the connection that brought the request.
 * Where that is not known in time the connection is closed. Looked at from a timer, so that a statement costs nothing for it. Those
 * that wait for a connection are the pool's, how a cancellation travels is cancel_request.ts.
 */
import type { Connection, Sent } from "./connection.ts";

/** How statements ended whose owner had left. */
export interface AbandonedCounts {
  /** Before they were sent. */
  unsent: number;
  /** Answered, and nobody heard. */
  dropped: number;
  /** Cancelled at the server. */
  cancelled: number;
  /** With their connection. */
  closed: number;
}

/** A connection's place in its pool. `lent`: nobody is given it meanwhile. */
export interface Place {
  readonly connection: Connection;
  lent: boolean;
}

/** Each is a connection to the server: however many clients leave at once, it is not asked to open more. Others follow as these end. */
const cancelsAtOnceMax = 4;
const cancelTimeoutMilliseconds = 2_000;

export class Abandonment {
  readonly #places: Iterable<Place>;
  readonly #counts: AbandonedCounts;
  readonly #onFree: () => void;
  #cancels = 0;

  /** `onFree` is called when a connection may be used again. */
  constructor(places: Iterable<Place>, counts: AbandonedCounts, onFree: () => void) {
    this.#places = places;
    this.#counts = counts;
    this.#onFree = onFree;
  }

  look(): void {
    for (const place of this.#places) {
      const { connection } = place;
      for (const sent of connection.unanswered) if (hasLeft(sent)) this.#count(sent, connection);
      if (this.#cancels < cancelsAtOnceMax && connection.isForNobody) void this.#cancel(place);
    }
  }

  async #cancel(place: Place): Promise<void> {
    const { connection, lent: wasLent } = place;
    this.#cancels++;
    place.lent = true;
    await connection.cancel(cancelTimeoutMilliseconds);
    this.#cancels--;
    // A transaction has it still, to roll back.
    if (!wasLent) place.lent = false;
    this.#onFree();
    this.look();
  }

  #count({ query }: Sent, connection: Connection): void {
    const counts = this.#counts;
    query.then(
      () => counts.dropped++,
      (error: unknown) => counts[endOf(error, connection)]++,
    );
  }
}

/** Marks it, and says whether that is new. */
function hasLeft(sent: Sent): boolean {
  if (sent.left !== undefined) return false;
  sent.left = sent.owner?.left;
  return sent.left !== undefined;
}

function endOf(error: unknown, connection: Connection): "cancelled" | "closed" | "dropped" {
  // query_canceled
  if ((error as { code?: unknown } | null)?.code === "57014") return "cancelled";
  return connection.lost ? "closed" : "dropped";
}
