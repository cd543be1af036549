/**
 * The public listener: gives every connection its protocol or turns it away, and drains. Which connections are open is
 * connections.ts'; what happens on one is downstream/'s.
 */
import { asEvent, type Protocol, type TcpSocket } from "../src/io/connection.ts";
import { listen, type Listener } from "../src/io/listener.ts";
import { log } from "../src/ops/log.ts";
import { connectionsThatFit } from "../src/ops/machine.ts";
import { clock, tick } from "../src/std/clock.ts";
import type { HostPort } from "../src/std/units.ts";
import type { Balancer } from "./balancer.ts";
import { type Connection, type ConnectionLimits, Connections } from "./connections.ts";
import { Http1Downstream } from "./downstream/http1.ts";
import { type Proxied, ProxiedConnection } from "./downstream/proxied.ts";
import { clientsThatFit } from "./open_files.ts";
import { type Peer, peerOf } from "./rewrite.ts";

/** How exact timeouts are: 15,000 connections take 0.2 ms a sweep. */
const sweepMilliseconds = 250;

export class Front implements Proxied {
  readonly #balancer: Balancer;
  readonly #connections: Connections;
  readonly #listener: Listener;
  readonly #sweeper: ReturnType<typeof setInterval>;

  /** Shares `address`, which is claimed. */
  constructor(balancer: Balancer, address: HostPort) {
    this.#balancer = balancer;
    this.#connections = new Connections(limitsOf(balancer));
    this.#listener = listen({
      address,
      flag: "--listen",
      reusePort: true,
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

  #accept(socket: TcpSocket): Protocol | undefined {
    // A client that connected and reset it has no address any more, whatever the type says.
    const remoteAddress = socket.remoteAddress as string | undefined;
    if (remoteAddress === undefined) return undefined;
    tick();
    const peer = peerOf(remoteAddress, this.#balancer.rewriteRules.trusted);
    const { proxyProtocol, headerTimeout } = this.#balancer.config;
    const connection =
      proxyProtocol && peer.isTrusted
        ? this.#admitted(peer, () => new ProxiedConnection(socket, peer, clock.now + headerTimeout, this))
        : this.#serve(socket, peer);
    if (connection !== undefined) this.#balancer.counters.connectionsAccepted++;
    return connection;
  }

  #serve(socket: TcpSocket, peer: Peer): Http1Downstream | undefined {
    return this.#admitted(peer, () => new Http1Downstream(this.#balancer, socket, peer, this.#connections));
  }

  /** What `make` makes, unless there are too many already. */
  #admitted<C extends Connection>(peer: Peer, make: () => C): C | undefined {
    const refusal = this.#connections.refusal(peer);
    if (refusal !== undefined) {
      this.#balancer.counters.connectionsRefused[refusal]++;
      return undefined;
    }
    const connection = make();
    this.#connections.add(connection);
    return connection;
  }

  // From connections that a proxy passes on

  identified(proxied: ProxiedConnection, source: string | undefined, rest: Buffer): void {
    const { socket } = proxied;
    const peer = source === undefined ? proxied.peer : peerOf(source, this.#balancer.rewriteRules.trusted);
    this.#connections.delete(proxied);
    const connection = this.#serve(socket, peer);
    if (connection === undefined) return void socket.end();
    socket.data = connection;
    if (rest.length > 0) connection.received(rest);
  }

  unidentified(proxied: ProxiedConnection, reason: string): void {
    const { counters } = this.#balancer;
    const level = counters.connectionsRefused.proxy_header++ === 0 ? "warn" : "debug";
    const { address } = proxied.peer;
    log[level]({ peer: address, reason }, `a connection of proxy ${address} is closed: ${reason} (--proxy-protocol)`);
    proxied.close();
  }

  gone(proxied: ProxiedConnection): void {
    this.#connections.delete(proxied);
  }

  #sweep(now: number): void {
    this.#connections.sweep(now);
    this.#balancer.services.sweep(now);
  }
}

/** Clients as configured, as far as the open files allow with the targets of the moment. */
function limitsOf({ config, services }: Balancer): ConnectionLimits {
  const fitting = connectionsThatFit();
  return {
    connectionsPerClientMax: config.connectionsPerClientMax,
    get connectionsMax() {
      return Math.min(config.connectionsMax, clientsThatFit(fitting, services.requestsMax));
    },
  };
}
