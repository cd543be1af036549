/**
 * Two connections joined after 101 (Switching Protocols, RFC 9110 §15.2.2): a WebSocket, or whatever else the target agreed to speak. The
 * bytes mean nothing here. Each side may end on its own; what the other still says goes through until it ends as well.
 *
 *     open ─one side ends─▶ half ─the other ends─▶ done
 *      └─ idle, or drained ─┴─▶ ending (both are told) ─▶ done, by force if need be
 *
 * Invariant: `done` is reached once, and leaves no connection behind. Back-pressure is pump.ts', as for any body.
 */
import { clock } from "../src/std/clock.ts";
import type { ErrorCode } from "../src/std/errors.ts";
import type { Connection } from "./connections.ts";
import { pump } from "./pump.ts";
import type { Peer } from "./rewrite.ts";
import type { BodySink, BodySource } from "./stream.ts";

/** One side of a tunnel, whatever carries it. `endBody` ends our direction once everything has been sent. */
export interface TunnelEnd extends BodySource, BodySink {
  /** Ends both directions now: in order, or with a reset, which the peer cannot take for a proper end. */
  close(withReset: boolean): void;
}

export interface TunnelLimits {
  /** Milliseconds. */
  readonly tunnelIdleTimeout: number;
  readonly tunnelDrainTimeout: number;
  readonly bodyTimeout: number;
}

/** Who hears of the end: the exchange that the tunnel began as. */
export interface TunnelOwner {
  /** `bytes` went to the client. */
  tunnelEnded(bytes: number, error: ErrorCode | undefined): void;
}

/** Time that sides have to end after they were told to. */
const endingMilliseconds = 2_000;

type Phase = "open" | "half" | "ending" | "done";

export class Tunnel implements Connection {
  readonly peer: Peer;
  deadline: number;
  readonly #owner: TunnelOwner;
  readonly #limits: TunnelLimits;
  #client: TunnelEnd | undefined;
  #target: TunnelEnd | undefined;
  #phase: Phase = "open";
  /** The side that ended first. */
  #ended: TunnelEnd | undefined;
  #error: ErrorCode | undefined;
  #bytesToClient = 0;
  /** When it has to have ended: the balancer, or the target, drains. */
  #drainedBy = Number.POSITIVE_INFINITY;

  constructor(owner: TunnelOwner, peer: Peer, limits: TunnelLimits) {
    this.#owner = owner;
    this.peer = peer;
    this.#limits = limits;
    this.deadline = clock.now + limits.tunnelIdleTimeout;
  }

  /** Both sides are there: bytes may flow. */
  join(client: TunnelEnd, target: TunnelEnd): void {
    this.#client = client;
    this.#target = target;
    client.resumeBody();
    target.resumeBody();
  }

  // From either side

  received(from: TunnelEnd, bytes: Buffer): void {
    const to = this.#opposite(from);
    if (to === undefined) return;
    if (to === this.#client) this.#bytesToClient += bytes.length;
    const isTaken = pump(from, to, bytes, 0, bytes.length);
    // A side that is full has to take something; one that is not may be silent for long.
    this.#moved(isTaken);
  }

  /** The side took some of what waits for it. `hasRoom`: the other may go on. */
  drained(side: TunnelEnd, hasRoom: boolean): void {
    if (hasRoom) this.#opposite(side)?.resumeBody();
    if (this.#phase === "ending") this.deadline = clock.now + endingMilliseconds;
    else this.#moved(hasRoom);
  }

  /** The side will say nothing more. */
  ended(side: TunnelEnd): void {
    this.#opposite(side)?.endBody(undefined);
    if (this.#phase === "open") {
      this.#phase = "half";
      this.#ended = side;
    } else if (this.#phase === "half") this.#tellBoth(undefined);
    this.#moved(false);
  }

  /** The side is gone. In order only after it had ended: else the other side hears that something is missing. */
  closed(side: TunnelEnd): void {
    if (this.#phase === "done") return;
    const isClient = side === this.#client;
    if (isClient) this.#client = undefined;
    else this.#target = undefined;
    if (side === this.#ended) this.#tellBoth(undefined);
    if (this.#phase !== "ending") this.#error ??= isClient ? "client_gone" : "upstream_closed";
    // In order, the other may still have to take what was said last.
    else if (this.#client !== undefined || this.#target !== undefined) return;
    this.#finish(this.#phase !== "ending");
  }

  // From whoever looks after connections

  expire(): void {
    if (this.#phase === "ending") return this.#finish(true);
    this.#tellBoth(clock.now >= this.#drainedBy ? "draining" : "tunnel_idle");
  }

  drain(): void {
    this.#drainedBy = Math.min(this.#drainedBy, clock.now + this.#limits.tunnelDrainTimeout);
    this.deadline = Math.min(this.deadline, this.#drainedBy);
  }

  close(): void {
    this.#error ??= "draining";
    this.#finish(false);
  }

  failed(): void {
    this.#error ??= "internal";
    this.#finish(true);
  }

  #opposite(side: TunnelEnd): TunnelEnd | undefined {
    return side === this.#client ? this.#target : this.#client;
  }

  #moved(isFlowing: boolean): void {
    if (this.#phase === "ending" || this.#phase === "done") return;
    const { tunnelIdleTimeout, bodyTimeout } = this.#limits;
    const limit = isFlowing && this.#phase === "open" ? tunnelIdleTimeout : Math.min(bodyTimeout, tunnelIdleTimeout);
    this.deadline = Math.min(clock.now + limit, this.#drainedBy);
  }

  #tellBoth(error: ErrorCode | undefined): void {
    this.#error ??= error;
    this.#phase = "ending";
    this.deadline = clock.now + endingMilliseconds;
    this.#client?.endBody(undefined);
    this.#target?.endBody(undefined);
  }

  #finish(withReset: boolean): void {
    if (this.#phase === "done") return;
    this.#phase = "done";
    this.deadline = Number.POSITIVE_INFINITY;
    const [client, target] = [this.#client, this.#target];
    this.#client = this.#target = undefined;
    client?.close(withReset);
    target?.close(withReset);
    this.#owner.tunnelEnded(this.#bytesToClient, this.#error);
  }
}
