/** A PostgreSQL client of single messages, for what a driver would never send. */
import { eachMessage, message, stringAt } from "../../src/store/embedded/messages.ts";

export interface Answer {
  readonly type: string;
  readonly body: Buffer;
}

export interface WireClient {
  send(...messages: readonly Buffer[]): void;
  /** Everything up to the next ReadyForQuery, as types in a row ("TDCZ"), errors as E(SQLSTATE). */
  ready(): Promise<string>;
  /** Resolves when the server has closed. */
  readonly closed: Promise<void>;
  /** What has come and was not asked for yet. */
  rest(): string;
  pause(): void;
  resume(): void;
  close(): void;
}

const int32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
};

export function startup(parameters: { readonly [name: string]: string }): Buffer {
  const body = Buffer.from(
    Object.entries(parameters)
      .map(([name, value]) => `${name}\0${value}\0`)
      .join("") + "\0",
  );
  return Buffer.concat([int32(8 + body.length), int32(196_608), body]);
}

export const parse = (name: string, text: string): Buffer => message("P", name, text, Buffer.alloc(2));
export const bind = (name: string): Buffer => message("B", "", name, Buffer.alloc(6));
export const execute: Buffer = message("E", "", int32(0));

/** Connects and sends nothing. */
export async function connectRaw(url: string): Promise<WireClient> {
  const { hostname, port } = new URL(url);
  let input = Buffer.alloc(0);
  let wake = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<void>();
  let over = false;
  const socket = await Bun.connect({
    hostname,
    port: Number(port),
    socket: {
      data(_, bytes) {
        input = Buffer.concat([input, bytes]);
        wake.resolve();
      },
      close() {
        over = true;
        closed.resolve();
        wake.resolve();
      },
    },
  });
  return {
    send: (...messages) => void socket.write(Buffer.concat(messages)),
    async ready() {
      let seen = "";
      for (;;) {
        let done = false;
        const rest = eachMessage(input, (type, start, end) => {
          if (done) return;
          seen += describe(type, input.subarray(start + 5, end));
          done = type === "Z";
          if (done) input = input.subarray(end);
        });
        if (done) return seen;
        input = input.subarray(rest);
        if (over) return `${seen}|closed`;
        wake = Promise.withResolvers();
        await wake.promise;
      }
    },
    closed: closed.promise,
    rest: () => input.toString("latin1"),
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    close: () => socket.terminate(),
  };
}

/** Connects with the URL's password; resolves when PostgreSQL is ready for a query. */
export async function connectWire(
  url: string,
  parameters: { readonly [name: string]: string } = {},
): Promise<WireClient> {
  const client = await connectRaw(url);
  client.send(startup({ user: "postgres", database: "postgres", ...parameters }), message("p", new URL(url).password));
  await client.ready();
  return client;
}

function describe(type: string, body: Buffer): string {
  if (type !== "E") return type;
  for (let at = 0; at < body.length - 1;) {
    const field = stringAt(body, at);
    if (field.text.startsWith("C")) return `E(${field.text.slice(1)})`;
    at = field.end;
  }
  return "E";
}
