/**
 * PostgreSQL's request to cancel what runs on a connection: a message on a connection of its own, with the key that the server gave the
 * first one (manual, 55.2.8 and 55.7). The server signals the backend before it closes, so that after the end no such signal is still to
 * come; whom it hits is decided by what runs when it arrives. When one is sent is abandoned.ts'.
 */
import { isIP } from "node:net";
import type { ConnectionOptions } from "node:tls";

import type postgres from "postgres";

import { deliver, type Upgrade } from "../../io/deliver.ts";

/** Of a connection. */
export interface CancelKey {
  readonly pid: number;
  readonly secret: number;
}

const cancelCode = 80_877_102;
const tlsCode = 80_877_103;
const agreed = "S".charCodeAt(0);

/** Resolves when the server has taken it, and rejects where nobody knows after `milliseconds`. `server`: as the driver has read its URL. */
export function requestCancel(server: postgres.ParsedOptions, key: CancelKey, milliseconds: number): Promise<void> {
  const to = server.path ? { path: server.path } : { host: server.host[0]!, port: server.port[0]! };
  return deliver({ to, message: message(cancelCode, key.pid, key.secret), tls: upgrade(server) }, milliseconds);
}

/** A length, and numbers in network order. */
function message(...numbers: readonly number[]): Buffer {
  const bytes = Buffer.alloc(4 * (numbers.length + 1));
  [bytes.length, ...numbers].forEach((each, index) => bytes.writeUInt32BE(each, 4 * index));
  return bytes;
}

/** TLS as on the connection itself: what the driver makes of the URL's sslmode. */
function upgrade({ ssl, host, ...server }: postgres.ParsedOptions): Upgrade | undefined {
  if (!ssl) return undefined;
  // Known to the driver and not to its types.
  const isDirect = (server as { sslnegotiation?: unknown }).sslnegotiation === "direct";
  const isUnchecked = ssl === "require" || ssl === "allow" || ssl === "prefer";
  const options: ConnectionOptions = {
    // An address is no name (RFC 6066, 3).
    ...(isIP(host[0]!) ? {} : { servername: host[0] }),
    ...(isDirect ? { ALPNProtocols: ["postgresql"] } : {}),
    ...(isUnchecked ? { rejectUnauthorized: false } : {}),
    ...(typeof ssl === "object" ? ssl : {}),
  };
  const question = { bytes: message(tlsCode), yes: agreed };
  return { options, optional: ssl === "prefer", ...(isDirect ? {} : { question }) };
}
