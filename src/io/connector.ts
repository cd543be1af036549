/** Outgoing TCP connections. One shared handler set; a dial has an owner that is told once how it ended. */

import { tick } from "../std/clock.ts";
import { messageOf } from "../std/errors.ts";
import type { HostPort } from "../std/units.ts";
import { type Dialing, type Protocol, protocolHandlers, type TcpSocket } from "./connection.ts";
import { bare } from "./listener.ts";
import { flushStaged } from "./write_queue.ts";

/** Starts to connect. Returns at once; there is no cancelling, the owner closes a connection that came too late. */
export function connect(address: HostPort, owner: Dialing): void {
  // A failure is connectError's: the promise says the same once more.
  Bun.connect<Protocol>({
    hostname: bare(address.host),
    port: address.port,
    allowHalfOpen: true,
    data: owner,
    socket: dialHandlers,
  }).catch(() => undefined);
}

const dialHandlers = {
  ...protocolHandlers,
  open(socket: TcpSocket): void {
    tick();
    (socket.data as Dialing).connected(socket);
    flushStaged();
  },
  connectError(socket: TcpSocket, error: Error): void {
    tick();
    (socket.data as Dialing).connectFailed((error as { code?: string }).code ?? messageOf(error));
    flushStaged();
  },
};
