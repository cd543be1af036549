/**
 * One message to a server that answers nothing: it closes the connection once it has taken it. With node's sockets, since TLS may have to
 * begin after a question that is asked in clear, on a connection that is open already. What is said is the caller's.
 */
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls, type ConnectionOptions } from "node:tls";

export interface Delivery {
  /** A path is that of a unix socket. */
  readonly to: { readonly host: string; readonly port: number } | { readonly path: string };
  readonly message: Uint8Array;
  readonly tls?: Upgrade | undefined;
}

export interface Upgrade {
  readonly options: ConnectionOptions;
  /** Sent first, in clear; TLS begins if the first byte of the answer is `yes`. Absent: it begins at once. */
  readonly question?: { readonly bytes: Uint8Array; readonly yes: number };
  /** Whether the message may go in clear where the answer is another. */
  readonly optional: boolean;
}

/** Resolves once the server has closed the connection behind the message; rejects where it did not get it, or has not after `milliseconds`. */
export async function deliver({ to, message, tls }: Delivery, milliseconds: number): Promise<void> {
  const raw = connectTcp(to);
  const failed = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => failed.reject(new Error(`not taken within ${Math.round(milliseconds)} ms`)),
    milliseconds,
  );
  raw.on("error", failed.reject);
  const either = <T>(step: Promise<T>): Promise<T> => Promise.race([step, failed.promise]);
  let socket: Socket = raw;
  try {
    await either(event(raw, "connect"));
    if (tls !== undefined && (await either(mayBegin(raw, tls)))) {
      socket = connectTls({ ...tls.options, socket: raw });
      socket.on("error", failed.reject);
      await either(event(socket, "secureConnect"));
    }
    const closed = event(socket, "close");
    // What is left in its buffer when the server closes is answered with a reset, which is an end as well.
    socket.removeListener("error", failed.reject).on("error", () => undefined);
    // Its own end stays open: a server may take the end for a change of mind.
    socket.write(message);
    socket.resume();
    await either(closed);
  } finally {
    clearTimeout(timer);
    socket.destroy();
    raw.destroy();
  }
}

/** Whether TLS begins now. */
async function mayBegin(raw: Socket, { question, optional }: Upgrade): Promise<boolean> {
  if (question === undefined) return true;
  const answered = event<[Buffer]>(raw, "data");
  raw.write(question.bytes);
  const [bytes] = await answered;
  if (bytes[0] === question.yes) return true;
  if (optional) return false;
  throw new Error("the server speaks no TLS");
}

/** Its arguments. */
function event<A extends unknown[]>(socket: Socket, name: string): Promise<A> {
  return new Promise((resolve) => socket.once(name, (...args: unknown[]) => resolve(args as A)));
}
