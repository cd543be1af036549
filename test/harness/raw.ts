// Both ends of a TCP connection as scripts of bytes: a client that sends what no library would, and a backend that answers what no
// framework would. Text is latin1, so that every byte can be written in a string.

const endOfHead = "\r\n\r\n";
/** What is waited for has to come within this time. */
const patienceMilliseconds = 10_000;
/** A connection that a backend keeps open may be idle for long. */
const idleMilliseconds = 60_000;

/** One end of a connection, for a script: send, then wait for what must come. Whoever waits goes on in the order in which things come. */
export class RawPeer {
  /** Everything received so far and not yet taken. */
  received = "";
  /** The other end has ended, or the connection is gone. */
  isEnded = false;
  #unsent = Buffer.alloc(0);
  #socket: Bun.Socket<RawPeer> | undefined;
  /** Of those who wait: each looks whether what has come is enough. */
  readonly #looks = new Set<() => void>();

  /** Takes what has come up to and including `mark`, waiting for it. */
  async until(mark: string): Promise<string> {
    await this.#when(() => this.received.includes(mark) || this.isEnded, JSON.stringify(mark));
    const at = this.received.indexOf(mark);
    if (at === -1) throw new Error(`the connection ended before ${JSON.stringify(mark)}; received ${this.#tail}`);
    return this.take(at + mark.length);
  }

  /** Takes `bytes` bytes, waiting for them. */
  async bytes(bytes: number): Promise<string> {
    await this.#when(() => this.received.length >= bytes || this.isEnded, `${bytes} bytes`);
    return this.take(bytes);
  }

  /** Everything up to the end of the connection, waiting for it. */
  async rest(): Promise<string> {
    await this.ended();
    return this.take(this.received.length);
  }

  /** Waits for the end. */
  ended(timeout?: number): Promise<void> {
    return this.#when(() => this.isEnded, "the end of the connection", timeout);
  }

  /** Takes a request's head, waiting for it; undefined at the end of the connection. */
  async head(): Promise<string | undefined> {
    await this.#when(() => this.received.includes(endOfHead) || this.isEnded, "a request", idleMilliseconds);
    return this.isEnded ? undefined : this.take(this.received.indexOf(endOfHead) + endOfHead.length);
  }

  #when(condition: () => boolean, what: string, timeout = patienceMilliseconds): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const look = (): void => {
      if (condition()) resolve();
    };
    const late = setTimeout(() => {
      reject(new Error(`${what} did not come within ${timeout} ms; received ${this.#tail}, ${this.#sent}`));
    }, timeout);
    this.#looks.add(look);
    look();
    return promise.finally(() => {
      clearTimeout(late);
      this.#looks.delete(look);
    });
  }

  take(bytes: number): string {
    const taken = this.received.slice(0, bytes);
    this.received = this.received.slice(bytes);
    return taken;
  }

  send(data: string | Buffer): void {
    this.#unsent = Buffer.concat([this.#unsent, typeof data === "string" ? Buffer.from(data, "latin1") : data]);
    this.flush();
  }

  /** Stops reading, so that the other end meets back-pressure. */
  pause(): void {
    this.#socket?.pause();
  }

  resume(): void {
    this.#socket?.resume();
  }

  end(): void {
    this.#socket?.end();
    this.over();
  }

  /** Ends with a reset. */
  reset(): void {
    this.#socket?.terminate();
    this.over();
  }

  /** Bytes have come. */
  heard(bytes: Buffer): void {
    this.received += bytes.toString("latin1");
    for (const look of this.#looks) look();
  }

  /** Nothing more will come. */
  over(): void {
    this.isEnded = true;
    for (const look of this.#looks) look();
  }

  opened(socket: Bun.Socket<RawPeer>): void {
    this.#socket = socket;
    this.flush();
  }

  flush(): void {
    if (this.#socket === undefined || this.#unsent.length === 0) return;
    const taken = Math.max(0, this.#socket.write(this.#unsent, 0, this.#unsent.length));
    this.#unsent = this.#unsent.subarray(taken);
  }

  get #tail(): string {
    return JSON.stringify(this.received.slice(-300));
  }

  get #sent(): string {
    if (this.#socket === undefined) return "and was never connected";
    return this.#unsent.length === 0 ? "and all was sent" : `and ${this.#unsent.length} bytes were not sent`;
  }

  [Symbol.dispose](): void {
    this.end();
  }
}

const handlers = {
  data: (socket: Bun.Socket<RawPeer>, bytes: Buffer) => socket.data.heard(bytes),
  drain: (socket: Bun.Socket<RawPeer>) => socket.data.flush(),
  end: (socket: Bun.Socket<RawPeer>) => socket.data.over(),
  close: (socket: Bun.Socket<RawPeer>) => socket.data.over(),
};

/** Connects to http://HOST:PORT. `using` ends the connection. */
export async function rawClient(url: string): Promise<RawPeer> {
  const { hostname, port } = new URL(url);
  const peer = new RawPeer();
  await Bun.connect<RawPeer>({
    hostname,
    port: Number(port),
    allowHalfOpen: true,
    data: peer,
    socket: { ...handlers, open: (socket) => socket.data.opened(socket) },
  });
  return peer;
}

/** Sends `text` on a connection of its own and returns everything that comes back until the end. */
export async function exchange(url: string, text: string): Promise<string> {
  using client = await rawClient(url);
  client.send(text);
  return await client.rest();
}

export interface RawBackend extends Disposable {
  /** HOST:PORT for --backend. */
  readonly address: string;
  /** Heads of the requests so far, health checks aside. */
  readonly heads: readonly string[];
  /** Connections that are open. */
  readonly open: number;
  /** Accepts no more; with `true` it drops what is open as well. */
  stop(drop?: boolean): void;
}

/** Answers one request whose head has come; called again for the next on the same connection. */
export type Script = (peer: RawPeer, head: string) => void | Promise<void>;

/** A backend on a free port that passes its health checks and leaves every other answer to `script`. */
export function rawBackend(script: Script): RawBackend {
  const heads: string[] = [];
  const peers = new Set<RawPeer>();
  const converse = async (peer: RawPeer): Promise<void> => {
    for (;;) {
      const head = await peer.head();
      if (head === undefined) return;
      if (head.startsWith("GET /readyz ")) {
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        continue;
      }
      heads.push(head);
      await script(peer, head);
    }
  };
  const listener = Bun.listen<RawPeer>({
    hostname: "127.0.0.1",
    port: 0,
    allowHalfOpen: true,
    socket: {
      ...handlers,
      open(socket) {
        socket.data = new RawPeer();
        socket.data.opened(socket);
        peers.add(socket.data);
        void converse(socket.data).catch(() => socket.data.end());
      },
      close(socket) {
        socket.data.over();
        peers.delete(socket.data);
      },
    },
  });
  const stop = (drop = false): void => {
    listener.stop();
    if (drop) for (const peer of peers) peer.reset();
  };
  return {
    address: `127.0.0.1:${listener.port}`,
    heads,
    get open() {
      return peers.size;
    },
    stop,
    [Symbol.dispose]: () => stop(true),
  };
}

/** A response with a body and its length. */
export function answer(body: string, status = "200 OK", ...lines: readonly string[]): string {
  return [`HTTP/1.1 ${status}`, ...lines, `Content-Length: ${body.length}`, "", body].join("\r\n");
}
