/**
 * The public listener: gives every connection its protocol or turns it away, and drains. Which connections are open is
 * connections.ts'; what happens on one is downstream/'s.
 */
import { asEvent, type TcpSocket } from "../src/io/connection.ts";
import { listen, type Listener } from "../src/io/listener.ts";
import { tick } from "../src/std/clock.ts";
import type { HostPort } from "../src/std/units.ts";
import type { Balancer } from "./balancer.ts";
import { Connections } from "./connections.ts";
import { Http1Downstream } from "./downstream/http1.ts";
import { peerOf } from "./rewrite.ts";

/** How exact timeouts are: 15,000 connections take 0.2 ms a sweep. */
const sweepMilliseconds = 250;

export class Front {
  readonly #balancer: Balancer;
  readonly #connections: Connections;
  readonly #listener: Listener;
  readonly #sweeper: ReturnType<typeof setInterval>;

  constructor(balancer: Balancer) {
    this.#balancer = balancer;
    this.#connections = new Connections(balancer.config);
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
    this.#listener.stop();
    this.#balancer.isDraining = true;
    await this.#connections.drain(this.#balancer.config.drainTimeout);
    clearInterval(this.#sweeper);
  }

  #accept(socket: TcpSocket): Http1Downstream | undefined {
    const { counters } = this.#balancer;
    // A client that connected and reset it has no address any more, whatever the type says.
    const remoteAddress = socket.remoteAddress as string | undefined;
    if (remoteAddress === undefined) return undefined;
    const peer = peerOf(remoteAddress, this.#balancer.rewriteRules.trusted);
    const refusal = this.#connections.refusal(peer);
    if (refusal !== undefined) {
      counters.connectionsRefused[refusal]++;
      return undefined;
    }
    tick();
    counters.connectionsAccepted++;
    const connection = new Http1Downstream(this.#balancer, socket, peer, this.#connections);
    this.#connections.add(connection);
    return connection;
  }

  #sweep(now: number): void {
    this.#connections.sweep(now);
    this.#balancer.services.sweep(now);
  }
}
