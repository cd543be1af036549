/**
 * The door of the embedded database: a listener that speaks PostgreSQL's protocol, so that every client, ours and psql, connects to it as
 * to a server. Limits how many come in, how long one may stand in the door, and how long one waits for the session.
 */
import { asEvent } from "../../io/connection.ts";
import { listen } from "../../io/listener.ts";
import { log } from "../../ops/log.ts";
import { ScaleError } from "../../std/errors.ts";
import { formatHostPort, type HostPort } from "../../std/units.ts";
import { Client, embeddedDatabase, embeddedUser, type Surroundings } from "./client.ts";
import type { EmbeddedDatabase } from "./database.ts";
import { fatal, parameterStatus, query, readAnswer } from "./messages.ts";
import { SharedSession } from "./session.ts";

export interface Gate {
  /** Where it listens; the port is the one taken, if 0 was asked for. */
  readonly address: HostPort;
  /** With the password. */
  readonly url: string;
  /** Lets a transaction under way finish for up to a second, then closes every connection. Idempotent. */
  close(): Promise<void>;
}

export interface GateOptions {
  readonly address: HostPort;
  readonly password: string;
  readonly onDead: (error: ScaleError) => void;
  /** How long a connection waits for the session. Default 10,000. */
  readonly sessionWaitMilliseconds?: number;
}

const connectionsMax = 200;
const sessionWaitDefault = 10_000;
const sweepMilliseconds = 250;
const closeMilliseconds = 1_000;
const closePollMilliseconds = 10;

export function openGate(database: EmbeddedDatabase, options: GateOptions): Gate {
  const { address, password, onDead, sessionWaitMilliseconds = sessionWaitDefault } = options;
  const clients = new Set<Client>();
  const session = new SharedSession(database, onDead);
  const surroundings: Surroundings = {
    session,
    password,
    greeting: greetingOf(database),
    onClosed: (client) => clients.delete(client),
  };
  let ids = 0;
  const listener = listen({
    address,
    flag: "--listen",
    accept: (socket) => {
      if (clients.size >= connectionsMax) {
        socket.write(fatal("53300", `the embedded database takes ${connectionsMax} connections`));
        return undefined;
      }
      const client = new Client(++ids, socket, surroundings);
      clients.add(client);
      return client;
    },
  });
  const sweeper = setInterval(
    () => asEvent((now) => sweep(now, clients, session, sessionWaitMilliseconds)),
    sweepMilliseconds,
  );
  let closing: Promise<void> | undefined;
  return {
    address: listener.address,
    url: `postgres://${embeddedUser}:${password}@${formatHostPort(listener.address)}/${embeddedDatabase}`,
    close() {
      closing ??= closeAll();
      return closing;
    },
  };

  async function closeAll(): Promise<void> {
    listener.stop();
    clearInterval(sweeper);
    const deadline = performance.now() + closeMilliseconds;
    while (session.lent && performance.now() < deadline) await Bun.sleep(closePollMilliseconds);
    for (const client of clients) client.close("57P01", "the embedded database is shutting down");
  }
}

function sweep(now: number, clients: ReadonlySet<Client>, session: SharedSession, waitMax: number): void {
  for (const client of clients) client.sweep(now);
  for (const account of session.waitedLonger(waitMax)) {
    log.warn({}, `a connection waited ${waitMax} ms for the embedded database's one session: closed`);
    account.borrower.close(
      "55P03",
      `a transaction of another connection has held the embedded database's one session for ${waitMax} ms`,
      "a transaction that waits for another connection waits for ever: use its own tx",
    );
  }
}

/** What clients are told about the server when they come in. */
function greetingOf(database: EmbeddedDatabase): Buffer {
  const reported = [
    "server_version",
    "server_encoding",
    "client_encoding",
    "DateStyle",
    "IntervalStyle",
    "TimeZone",
    "integer_datetimes",
    "standard_conforming_strings",
    "in_hot_standby",
    "default_transaction_read_only",
  ];
  const names = reported.map((name) => `'${name.toLowerCase()}'`).join(", ");
  const { rows } = readAnswer(
    database.run(query(`select name, setting from pg_settings where lower(name) in (${names})`)),
  );
  return Buffer.concat(rows.map(([name, setting]) => parameterStatus(name!, setting!)));
}

/** Throws configuration_invalid where the address is not of this machine alone: the password would cross the network in clear. */
export function requireLoopback({ host, port }: HostPort): void {
  if (host === "localhost" || host === "[::1]" || host === "::1" || /^127\.\d+\.\d+\.\d+$/.test(host)) return;
  throw new ScaleError("configuration_invalid", `--listen is ${host}:${port}, expected an address on loopback`, {
    hint: "the embedded database is for one machine; for others use PostgreSQL and --database-url",
  });
}
