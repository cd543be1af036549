/**
 * The connections to one target. Idle ones are kept newest first: under little load the oldest fall idle past their limit and close,
 * and the one most likely to be alive is used next. Invariant: an idle connection has nothing in flight and nothing unread.
 */
import { connect } from "../../src/io/connector.ts";
import { Breaker, type BreakerRules } from "../../src/std/breaker.ts";
import { clock } from "../../src/std/clock.ts";
import type { HostPort } from "../../src/std/units.ts";
import type { Upstream, UpstreamUser } from "../stream.ts";
import type { Tunnel } from "../tunnel.ts";
import { Http1Upstream, type UpstreamLimits } from "./http1.ts";

export interface PoolLimits extends UpstreamLimits {
  /** Idle connections kept, and for how long (milliseconds). */
  readonly upstreamIdleMax: number;
  readonly upstreamKeepAliveTimeout: number;
}

/**
 * Attempts to connect that may be given up in a row, and the pause before each further one. They cannot be taken back: the kernel goes on trying
 * a host that answers nothing for two minutes, and each holds an open file until then.
 */
const dialsOfRequests: BreakerRules = { failuresMax: 256, openMilliseconds: 1_000 };

export class Pool {
  connects = 0;
  connectFailures = 0;
  /** Connections open, idle or not. */
  open = 0;

  readonly #address: HostPort;
  readonly #limits: PoolLimits;
  /** Oldest first: taken from the end, expired from the start. */
  readonly #idle: Http1Upstream[] = [];
  /** What became of connections after 101. */
  readonly #tunnels = new Set<Tunnel>();
  readonly #dialRules: BreakerRules;
  readonly #dials: Breaker;
  #isClosed = false;

  constructor(address: HostPort, limits: PoolLimits, dialRules = dialsOfRequests) {
    this.#address = address;
    this.#limits = limits;
    this.#dialRules = dialRules;
    this.#dials = new Breaker(dialRules);
  }

  /**
   * Attaches `user` to an idle connection at once and returns undefined; or starts to connect and returns what is being connected:
   * `abort` on it means that the user no longer waits.
   */
  acquire(user: UpstreamUser): Upstream | undefined {
    const idle = this.#idle.pop();
    if (idle === undefined) return this.dial(user);
    idle.attach(user);
    return undefined;
  }

  /** Starts to connect, whatever is idle. Undefined: too many attempts hang, and `user` has heard of it. */
  dial(user: UpstreamUser): Upstream | undefined {
    if (!this.#dials.allows(clock.now)) {
      this.connectFailures++;
      const seconds = this.#dialRules.openMilliseconds / 1_000;
      user.connectFailed(`attempts to connect hang, and no more than one in ${seconds} s is made`);
      return undefined;
    }
    this.connects++;
    const dialing = new Http1Upstream(this, this.#limits, user);
    connect(this.#address, dialing);
    return dialing;
  }

  /** A connection was made, whoever still wants it. */
  connected(): void {
    this.open++;
    this.#dials.succeeded();
  }

  /** An attempt failed. Was it `awaited`, it did not hang: whoever refuses is there. */
  notConnected(awaited: boolean): void {
    this.connectFailures++;
    if (awaited) this.#dials.succeeded();
  }

  /** Nobody waits any longer for a connection that is being made. */
  givenUp(): void {
    this.#dials.failed(clock.now);
  }

  /** Takes a connection back. False: there is no room, the caller closes it. */
  release(upstream: Http1Upstream): boolean {
    if (this.#isClosed || this.#idle.length >= this.#limits.upstreamIdleMax) return false;
    this.#idle.push(upstream);
    return true;
  }

  /** An idle connection was closed by the target. */
  remove(upstream: Http1Upstream): void {
    const index = this.#idle.indexOf(upstream);
    if (index !== -1) this.#idle.splice(index, 1);
  }

  /** A connection switched protocols: it serves no one else, and has to end when the target drains. */
  switched(tunnel: Tunnel): void {
    this.#tunnels.add(tunnel);
    if (this.#isClosed) tunnel.drain();
  }

  /** That connection is over. */
  tunnelClosed(tunnel: Tunnel): void {
    this.#tunnels.delete(tunnel);
    this.open--;
  }

  /** Closes what has been idle for too long. */
  sweep(now: number): void {
    const { upstreamKeepAliveTimeout } = this.#limits;
    while (this.#idle.length > 0 && this.#idle[0]!.idleSince + upstreamKeepAliveTimeout <= now) {
      this.#idle.shift()!.close();
    }
  }

  /** Closes what is idle now, and until `reopen` what becomes idle later. Tunnels are never idle: they are given time to end. */
  close(): void {
    this.#isClosed = true;
    for (const tunnel of this.#tunnels) tunnel.drain();
    for (const upstream of this.#idle.splice(0)) upstream.close();
  }

  reopen(): void {
    this.#isClosed = false;
  }
}
