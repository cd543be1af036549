/**
 * One client connection of the gate: start-up and password, then messages in and answers out. What the messages mean is session.ts.
 *
 *     startup ── parameters ──▶ password ── right ──▶ ready ── Terminate, FIN, error ──▶ closed
 *
 * Invariant: it keeps at most one message and one read more than it may run, and reads no further while its answers are not taken.
 */
import { timingSafeEqual } from "node:crypto";

import type { Protocol, TcpSocket } from "../../io/connection.ts";
import { WriteQueue } from "../../io/write_queue.ts";
import { log } from "../../ops/log.ts";
import { messageOf } from "../../std/errors.ts";
import {
  authenticationOk,
  cancelRequest,
  eachMessage,
  fatal,
  frontendTypes,
  gssRequest,
  negotiateVersion,
  passwordPlease,
  protocolMajor,
  readyForQuery,
  sslRequest,
  startupParameters,
  stringAt,
} from "./messages.ts";
import type { Account, Borrower, SharedSession } from "./session.ts";

export const embeddedUser = "postgres";
export const embeddedDatabase = "postgres";

/** What all connections of a gate share. */
export interface Surroundings {
  readonly session: SharedSession;
  readonly password: string;
  /** ParameterStatus messages, as PostgreSQL sends them after the password. */
  readonly greeting: Buffer;
  readonly onClosed: (client: Client) => void;
}

const startupBytesMax = 10_000;
const startupMilliseconds = 5_000;
const lingerMilliseconds = 1_000;
const messageBytesMax = 64 * 1024 * 1024;
const sliceBytes = 256 * 1024;
/** Bytes read ahead of what may be run, beyond a message that is under way. */
const readAheadBytesMax = 1024 * 1024;
/** Asked of the server as connection parameters, and not settings of a session. */
const notSettings = new Set(["user", "database", "application_name", "client_encoding", "options"]);

export class Client implements Protocol, Borrower {
  readonly id: number;
  readonly #openedAt = performance.now();
  #account: Account | undefined;
  readonly #socket: TcpSocket;
  readonly #surroundings: Surroundings;
  readonly #output: WriteQueue;
  /** Answers that the socket has no room for yet. */
  readonly #unsent: Buffer[] = [];
  #phase: "startup" | "password" | "ready" | "closed" = "startup";
  #input: Buffer[] = [];
  #inputBytes = 0;
  /** Bytes before which it is no use to look again. */
  #wantedBytes = 0;
  #settings: ReadonlyMap<string, string> = new Map();
  #paused = false;
  #leftAt = 0;

  constructor(id: number, socket: TcpSocket, surroundings: Surroundings) {
    this.id = id;
    this.#socket = socket;
    this.#surroundings = surroundings;
    this.#output = new WriteQueue(socket);
  }

  received(bytes: Buffer): void {
    if (this.#phase === "closed") return;
    this.#input.push(bytes);
    this.#inputBytes += bytes.length;
    if (this.#inputBytes < this.#wantedBytes) return;
    while (this.stranger) if (!this.#greet()) return;
    this.#proceed();
    this.#flow();
  }

  drained(): void {
    if (!this.#output.flushOnDrain()) return;
    this.#send();
    if (this.#unsent.length === 0) this.#proceed();
    this.#flow();
  }

  ended(): void {
    this.close();
  }

  closed(): void {
    this.#leave();
    this.#output.close();
    this.#surroundings.onClosed(this);
  }

  failed(error: unknown): void {
    log.error({ error }, `embedded PostgreSQL: a connection failed: ${messageOf(error)}`);
    this.#leave();
  }

  /** Says why, if there is something to say, and closes. */
  close(code?: string, text?: string, hint?: string): void {
    if (this.#phase === "closed") return;
    if (code !== undefined) this.answer(fatal(code, text ?? "", hint));
    this.#leave();
    this.#output.flush();
    this.#socket.end();
  }

  /** Closes who stands in the door too long, and cuts who was shown out and does not leave. */
  sweep(now: number): void {
    if (this.stranger && now - this.#openedAt > startupMilliseconds) this.close();
    else if (this.#phase === "closed" && now - this.#leftAt > lingerMilliseconds) this.#socket.terminate();
  }

  /** True until the password was right. */
  get stranger(): boolean {
    return this.#phase === "startup" || this.#phase === "password";
  }

  take(runnable: (bytes: Buffer) => number): Buffer {
    // Answers wait for the client to read them: it gets no more before it has.
    if (this.#unsent.length > 0) return Buffer.alloc(0);
    const input = this.#joined();
    const length = runnable(input);
    this.#keep(input.subarray(length), Math.max(0, this.#wantedBytes - length));
    this.#flow();
    return input.subarray(0, length);
  }

  answer(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; at += sliceBytes) this.#unsent.push(bytes.subarray(at, at + sliceBytes));
    this.#send();
  }

  /** Reads one message of the greeting; false: it is not whole yet, or the connection is over. */
  #greet(): boolean {
    const input = this.#joined();
    const header = this.#phase === "startup" ? 0 : 1;
    if (input.length < header + 4) return this.#want(header + 4);
    const end = header + input.readUInt32BE(header);
    if (end < header + 4 || end > startupBytesMax) return this.#violation("a start-up packet of an impossible length");
    if (input.length < end) return this.#want(end);
    this.#keep(input.subarray(end), 0);
    if (header === 1) return this.#checkPassword(input.subarray(0, end));
    return end >= 8 ? this.#start(input.subarray(0, end)) : this.#violation("a start-up packet without a version");
  }

  #start(packet: Buffer): boolean {
    const code = packet.readUInt32BE(4);
    if (code === sslRequest || code === gssRequest) {
      this.answer(Buffer.from("N"));
      return true;
    }
    if (code === cancelRequest) {
      // One session: what could be cancelled is over before this is read.
      this.close();
      return false;
    }
    if (code >>> 16 !== protocolMajor) return this.#violation(`protocol version ${code >>> 16} is not spoken here`);
    if ((code & 0xffff) !== 0) this.answer(negotiateVersion);
    const parameters = startupParameters(packet);
    if (parameters.has("replication")) return this.#violation("the embedded database does not replicate");
    this.#settings = new Map([...parameters].filter(([name]) => !notSettings.has(name) && !name.startsWith("_pq_.")));
    return this.#admit(parameters.get("user") ?? "", parameters.get("database"));
  }

  #admit(user: string, database: string | undefined): boolean {
    if (user !== embeddedUser)
      this.close("28000", `the embedded database has one user, ${embeddedUser}; got "${user}"`);
    else if ((database ?? user) !== embeddedDatabase) {
      this.close("3D000", `the embedded database is named ${embeddedDatabase}; got "${database}"`);
    } else {
      this.answer(passwordPlease);
      this.#phase = "password";
      return true;
    }
    return false;
  }

  #checkPassword(packet: Buffer): boolean {
    const given = packet[0] === 0x70 ? stringAt(packet, 5).text : "";
    if (!timingSafeEqual(digest(given), digest(this.#surroundings.password))) {
      this.close("28P01", `password authentication failed for user "${embeddedUser}"`);
      return false;
    }
    this.#phase = "ready";
    this.#account = this.#surroundings.session.open(this.id, this, this.#settings);
    // And no key to cancel with: a statement keeps this process from reading until it is over.
    this.answer(Buffer.concat([authenticationOk, this.#surroundings.greeting, readyForQuery]));
    return true;
  }

  /** Runs what is whole, in this connection's turn; what is not PostgreSQL's protocol closes it. */
  #proceed(): void {
    if (this.#phase !== "ready" || this.#inputBytes === 0) return;
    const input = this.#joined();
    let leaving = false;
    const rest = eachMessage(input, (type) => {
      if (!frontendTypes.includes(type)) this.#violation(`a message of unknown type ${JSON.stringify(type)}`);
      leaving ||= type === "X";
    });
    this.#expect(input.subarray(rest), rest);
    if (this.#isClosed()) return;
    this.#surroundings.session.request(this.#account!);
    if (leaving) this.close();
  }

  /** How much more is needed before the next message is whole. */
  #expect(partial: Buffer, before: number): void {
    this.#wantedBytes = 0;
    if (partial.length < 5) return;
    const length = 1 + partial.readUInt32BE(1);
    if (length < 5 || length > messageBytesMax)
      this.#violation(`a message of ${length} bytes, at most ${messageBytesMax}`);
    else this.#wantedBytes = before + length;
  }

  #send(): void {
    for (let slice = this.#unsent.shift(); slice; slice = this.#unsent.shift()) {
      if (!this.#output.write(slice, 0, slice.length)) return;
    }
  }

  /** Reads on only while the client takes its answers and does not run far ahead of its turn. */
  #flow(): void {
    const full = this.#unsent.length > 0 || this.#inputBytes > Math.max(this.#wantedBytes, readAheadBytesMax);
    if (full === this.#paused || this.#phase === "closed") return;
    this.#paused = full;
    if (full) this.#socket.pause();
    else this.#socket.resume();
  }

  #joined(): Buffer {
    const joined = this.#input.length === 1 ? this.#input[0]! : Buffer.concat(this.#input);
    this.#input = [joined];
    return joined;
  }

  #keep(rest: Buffer, wantedBytes: number): void {
    this.#input = rest.length === 0 ? [] : [rest];
    this.#inputBytes = rest.length;
    this.#wantedBytes = wantedBytes;
  }

  #want(bytes: number): false {
    this.#wantedBytes = bytes;
    return false;
  }

  #violation(text: string): false {
    this.close("08P01", text);
    return false;
  }

  #isClosed(): boolean {
    return this.#phase === "closed";
  }

  #leave(): void {
    if (this.#phase === "closed") return;
    this.#phase = "closed";
    this.#leftAt = performance.now();
    this.#input = [];
    if (this.#account) this.#surroundings.session.close(this.#account);
  }
}

function digest(text: string): Buffer {
  return new Bun.CryptoHasher("sha256").update(text).digest();
}
