/**
 * The public listener: gives every connection its protocol, looks after deadlines, and drains. Deadlines are a number on each
 * connection and one sweep over all of them: a timer a connection would cost more than the requests. What happens on a connection is
 * downstream/'s.
 */
import { asEvent, type TcpSocket } from "../src/io/connection.ts";
import { listen, type Listener } from "../src/io/listener.ts";
import { tick } from "../src/std/clock.ts";
import type { HostPort } from "../src/std/units.ts";
import type { Balancer } from "./balancer.ts";
import { Http1Downstream } from "./downstream/http1.ts";
import { peerOf } from "./rewrite.ts";

/** How exact timeouts are: 15,000 connections take 0.2 ms a sweep. */
const sweepMilliseconds = 250;

export class Front {
  readonly #balancer: Balancer;
  readonly #connections = new Set<Http1Downstream>();
  readonly #listener: Listener;
  readonly #sweeper: ReturnType<typeof setInterval>;
  #drained: (() => void) | undefined;

  constructor(balancer: Balancer) {
    this.#balancer = balancer;
    this.#listener = listen({
      address: balancer.config.listen,
      flag: "--listen",
      accept: (socket) => this.#accept(socket),
    });
    this.#sweeper = setInterval(() => asEvent((now) => this.#sweep(now)), sweepMilliseconds);
  }

  get address(): HostPort {
    return this.#listener.address;
  }

  get connectionsOpen(): number {
    return this.#connections.size;
  }

  /** Accepts no more, lets what is under way finish for at most --drain-timeout, then closes what is left. */
  async drain(): Promise<void> {
    const { drainTimeout } = this.#balancer.config;
    this.#listener.stop();
    this.#balancer.isDraining = true;
    for (const connection of this.#connections) connection.drain();
    if (this.#connections.size > 0) await this.#untilEmpty(drainTimeout);
    for (const connection of this.#connections) connection.close();
    clearInterval(this.#sweeper);
  }

  delete(connection: Http1Downstream): void {
    this.#connections.delete(connection);
    if (this.#connections.size === 0) this.#drained?.();
  }

  #untilEmpty(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#drained = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #accept(socket: TcpSocket): Http1Downstream | undefined {
    const { counters, config } = this.#balancer;
    // A client that connected and reset it has no address any more, whatever the type says.
    const remoteAddress = socket.remoteAddress as string | undefined;
    if (remoteAddress === undefined) return undefined;
    if (this.#connections.size >= config.connectionsMax) {
      counters.connectionsRefused++;
      return undefined;
    }
    tick();
    counters.connectionsAccepted++;
    const peer = peerOf(remoteAddress, this.#balancer.rewriteRules.trusted);
    const connection = new Http1Downstream(this.#balancer, socket, peer, this);
    this.#connections.add(connection);
    return connection;
  }

  #sweep(now: number): void {
    for (const connection of this.#connections) if (connection.deadline <= now) expire(connection);
    this.#balancer.services.sweep(now);
  }
}

/** As with a socket's events: what goes wrong with one connection ends that one and no other. */
function expire(connection: Http1Downstream): void {
  try {
    connection.expire();
  } catch (error) {
    connection.failed(error);
  }
}
