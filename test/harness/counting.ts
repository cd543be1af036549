// Clients that send every POST once and never again, as no HTTP library does, and a backend that counts what arrives: together they
// tell what was lost and what was doubled. Not here: load as such (load.ts).
import { withDeadline } from "../../src/std/deadline.ts";

export interface CountingBackend extends Disposable {
  /** HOST:PORT for --backend. */
  readonly address: string;
  /** Id → how often it has arrived. */
  readonly arrived: ReadonlyMap<string, number>;
  /** Requests that are answered when release() is called. */
  readonly held: number;
  release(): void;
}

/** Answers a POST with its id, one to /held when it is released. */
export function countingBackend(): CountingBackend {
  const arrived = new Map<string, number>();
  let waiting: (() => void)[] = [];
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 0,
    async fetch(request) {
      if (request.method !== "POST") return new Response("ok");
      const id = await request.text();
      arrived.set(id, (arrived.get(id) ?? 0) + 1);
      if (new URL(request.url).pathname === "/held") await new Promise<void>((resolve) => waiting.push(resolve));
      return new Response(id);
    },
  });
  return {
    address: `127.0.0.1:${server.port}`,
    arrived,
    get held() {
      return waiting.length;
    },
    release() {
      for (const answer of waiting) answer();
      waiting = [];
    },
    [Symbol.dispose]: () => void server.stop(true),
  };
}

export interface Counted {
  readonly answered: readonly string[];
  /** Sent, and not answered as it should have been: with why, and when it was sent. */
  readonly failed: readonly { readonly id: string; readonly why: string; readonly at: number }[];
}

export interface Clients extends AsyncDisposable {
  /** So far. */
  readonly counted: Counted;
  /** Ends when what is under way is answered, or has failed. */
  stop(): Promise<Counted>;
}

let clients = 0;

/** So many at a time send without a pause: on connections that they keep for as long as they may, or one for each request. */
export function countingClients(url: string, many: number, connection: "kept" | "fresh"): Clients {
  const answered: string[] = [];
  const failed: { id: string; why: string; at: number }[] = [];
  let isStopping = false;
  const one = async (name: string): Promise<void> => {
    let client: PostClient | undefined;
    for (let n = 0; !isStopping; n++) {
      const id = `${name}-${n}`;
      const at = performance.now();
      try {
        if (client === undefined || client.isOver) client = await postClient(url);
        await client.post(id, "/", connection === "fresh");
        answered.push(id);
      } catch (error) {
        failed.push({ id, why: String(error), at });
        client = undefined;
        // Refused at once, it would only be refused again.
        await Bun.sleep(1);
      }
    }
    client?.end();
  };
  const all = Promise.all(Array.from({ length: many }, () => one(`${connection}-${++clients}`)));
  const counted = { answered, failed };
  const stop = async (): Promise<Counted> => {
    isStopping = true;
    await all;
    return counted;
  };
  return {
    counted,
    stop,
    [Symbol.asyncDispose]: async () => {
      await stop();
    },
  };
}

/** Starts a watch; what it returns says for how many milliseconds this process did nothing, at most, since then. */
export function longestStall(): () => number {
  let last = performance.now();
  let longest = 0;
  const look = (): void => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
  };
  const timer = setInterval(look, 10);
  return () => {
    clearInterval(timer);
    look();
    return longest;
  };
}

/** What must hold of everything that was answered: it arrived once. Returns ids that did not, or more often. */
export function notOnce({ answered }: Counted, { arrived }: CountingBackend): readonly string[] {
  return answered.filter((id) => arrived.get(id) !== 1);
}

const answerMilliseconds = 20_000;

/** One connection, one request at a time. */
export class PostClient {
  /** The other end has said that this was the last answer, or has gone. */
  isOver = false;
  #received = "";
  #socket: Bun.Socket<PostClient> | undefined;
  #settle: (() => void) | undefined;

  get localPort(): number {
    return this.#socket?.localPort ?? 0;
  }

  opened(socket: Bun.Socket<PostClient>): void {
    this.#socket = socket;
  }

  got(bytes: Buffer): void {
    this.#received += bytes.toString("latin1");
    if (this.#isAnswered()) this.#settle?.();
  }

  over(): void {
    this.isOver = true;
    this.#settle?.();
  }

  /** Rejects unless the answer is 200 with this id. */
  async post(id: string, path: string, isLast = false): Promise<void> {
    const settled = new Promise<void>((resolve) => (this.#settle = resolve));
    const closing = isLast ? "Connection: close\r\n" : "";
    this.#received = "";
    this.#socket!.write(`POST ${path} HTTP/1.1\r\nHost: a\r\n${closing}Content-Length: ${id.length}\r\n\r\n${id}`);
    const late = () => new Error(`no answer within ${answerMilliseconds} ms`);
    await withDeadline(settled, answerMilliseconds, late);
    if (!this.#isAnswered()) throw new Error(`no whole answer: ${JSON.stringify(this.#received)}`);
    const isWell = this.#received.startsWith("HTTP/1.1 200 ") && this.#received.endsWith(`\r\n\r\n${id}`);
    if (isLast || /\r\nConnection: close\r\n/i.test(this.#received)) this.end();
    if (!isWell) throw new Error(`answered with ${JSON.stringify(this.#received)}`);
  }

  end(): void {
    this.isOver = true;
    this.#socket?.end();
  }

  #isAnswered(): boolean {
    const end = this.#received.indexOf("\r\n\r\n");
    const length = /\r\nContent-Length: (\d+)\r\n/i.exec(this.#received)?.[1];
    return end !== -1 && length !== undefined && this.#received.length >= end + 4 + Number(length);
  }
}

export async function postClient(url: string): Promise<PostClient> {
  const { hostname, port } = new URL(url);
  const client = new PostClient();
  const over = (socket: Bun.Socket<PostClient>) => socket.data.over();
  await Bun.connect<PostClient>({
    hostname,
    port: Number(port),
    data: client,
    socket: {
      open: (socket) => socket.data.opened(socket),
      data: (socket, bytes) => socket.data.got(bytes),
      end: over,
      close: over,
      error: over,
    },
  });
  return client;
}
