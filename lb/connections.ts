/**
 * The client connections that are open: how many there may be, in all and of one client, and what is done to all of them, when time
 * passes and when the balancer drains. Deadlines are a number on each connection and one sweep over all of them: a timer a connection would
 * cost more than the requests. What happens on a connection is downstream/'s.
 */
import { clientKey } from "./limit/client_key.ts";
import type { Peer } from "./rewrite.ts";

/** A client's connection as it is seen from here. */
export interface Connection {
  readonly peer: Peer;
  /** When `expire` is to be called, in milliseconds of the clock; Infinity for never. */
  readonly deadline: number;
  expire(): void;
  /** Ends when nothing is under way any more, or soon. */
  drain(): void;
  /** Ends now. */
  close(): void;
  /** Something threw: the connection is in no state to go on. */
  failed(error: unknown): void;
}

export interface ConnectionLimits {
  readonly connectionsMax: number;
  /** Of one client; 0: as many as there may be at all. */
  readonly connectionsPerClientMax: number;
}

/**
 * A connection that is idle as seen from here may have a request on its way, which would be lost with it: in use, it ends with the next
 * response; only one that nobody has used for so long is closed by itself.
 */
const idleGraceMilliseconds = 500;

export class Connections {
  readonly #limits: ConnectionLimits;
  readonly #open = new Set<Connection>();
  /** Client → connections, where they are counted. */
  readonly #ofClient = new Map<string, number>();
  #emptied: (() => void) | undefined;

  constructor(limits: ConnectionLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#open.size;
  }

  /** Why another connection of this client must not be; undefined if it may. */
  refusal(peer: Peer): "connections_max" | "connections_per_client_max" | undefined {
    const { connectionsMax, connectionsPerClientMax } = this.#limits;
    if (this.#open.size >= connectionsMax) return "connections_max";
    if (!this.#isCounted(peer)) return undefined;
    return (this.#ofClient.get(clientKey(peer.address)) ?? 0) >= connectionsPerClientMax
      ? "connections_per_client_max"
      : undefined;
  }

  add(connection: Connection): void {
    this.#open.add(connection);
    const { peer } = connection;
    if (!this.#isCounted(peer)) return;
    const client = clientKey(peer.address);
    this.#ofClient.set(client, (this.#ofClient.get(client) ?? 0) + 1);
  }

  delete(connection: Connection): void {
    if (!this.#open.delete(connection)) return;
    if (this.#isCounted(connection.peer)) this.#uncount(clientKey(connection.peer.address));
    if (this.#open.size === 0) this.#emptied?.();
  }

  sweep(now: number): void {
    for (const connection of this.#open) if (connection.deadline <= now) expire(connection);
  }

  /** Lets what is under way finish for at most so many milliseconds, then closes what is left. Responses say that they are the last. */
  async drain(milliseconds: number): Promise<void> {
    const grace = Math.min(milliseconds, idleGraceMilliseconds);
    if (this.#open.size > 0) await this.#untilEmpty(grace);
    for (const connection of this.#open) connection.drain();
    if (this.#open.size > 0) await this.#untilEmpty(milliseconds - grace);
    for (const connection of this.#open) connection.close();
  }

  /** A loop that was held up runs its timers before it reads what has come meanwhile: it gets a turn to do that. */
  #untilEmpty(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => setImmediate(resolve), milliseconds);
      this.#emptied = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** A trusted proxy brings the connections of many. */
  #isCounted(peer: Peer): boolean {
    return this.#limits.connectionsPerClientMax > 0 && !peer.isTrusted;
  }

  #uncount(client: string): void {
    const left = this.#ofClient.get(client)! - 1;
    if (left === 0) this.#ofClient.delete(client);
    else this.#ofClient.set(client, left);
  }
}

/** As with a socket's events: what goes wrong with one connection ends that one and no other. */
function expire(connection: Connection): void {
  try {
    connection.expire();
  } catch (error) {
    connection.failed(error);
  }
}
