/**
 * Listening sockets. Invariant: a port that someone else listens on is an error at start, unless it is to be shared; whose port that
 * is, and that a second start by mistake is an error there too, is port_claim.ts'.
 */
import { messageOf, ScaleError } from "../std/errors.ts";
import { formatHostPort, type HostPort } from "../std/units.ts";
import { type Protocol, protocolHandlers, type TcpSocket } from "./connection.ts";

export interface Listener {
  /** Where it listens; the port is the one taken, if 0 was asked for. */
  readonly address: HostPort;
  /** Accepts no more; connections live on. */
  stop(): void;
}

export interface ListenOptions {
  readonly address: HostPort;
  /** Flag to name in an error: --listen. */
  readonly flag: string;
  /** Shares the port with every process of this user that shares it too. */
  readonly reusePort?: boolean;
  /** Gives a new connection its protocol, or closes it by returning undefined. */
  readonly accept: (socket: TcpSocket) => Protocol | undefined;
}

/** Of a connection that is closed as soon as it is accepted. */
const refused: Protocol = {
  received: () => undefined,
  drained: () => undefined,
  ended: () => undefined,
  closed: () => undefined,
  failed: () => undefined,
};

/** Starts to listen. Throws address_taken, or configuration_invalid where the address is not one of this machine. */
export function listen(options: ListenOptions): Listener {
  const { host, port } = options.address;
  const { reusePort = false } = options;
  const handlers = {
    ...protocolHandlers,
    open(socket: TcpSocket): void {
      const protocol = options.accept(socket);
      socket.data = protocol ?? refused;
      if (protocol === undefined) socket.end();
    },
  };
  // The types do not know reusePort, which the implementation does.
  const request = {
    hostname: bare(host),
    port,
    allowHalfOpen: true,
    exclusive: !reusePort,
    reusePort,
    socket: handlers,
  };
  try {
    const listener = Bun.listen<Protocol>(request);
    return { address: { host, port: listener.port }, stop: () => listener.stop() };
  } catch (error) {
    throw cannotListen(options, error);
  }
}

function cannotListen({ address, flag }: ListenOptions, error: unknown): ScaleError {
  const given = `${flag}=${formatHostPort(address)}`;
  const code = (error as { code?: string }).code;
  if (code === "EADDRINUSE") {
    return new ScaleError("address_taken", `port ${address.port} is taken: ${given}`, {
      hint: `stop what listens there (ss -ltnp "sport = :${address.port}") or choose another port with ${flag}`,
      cause: error,
    });
  }
  if (code === "EACCES") {
    return new ScaleError(
      "configuration_invalid",
      `${given} cannot be listened on: a port below 1024 needs privileges`,
      {
        hint: `choose a port from 1024 on, or allow it with setcap cap_net_bind_service`,
        cause: error,
      },
    );
  }
  return new ScaleError("configuration_invalid", `${given} cannot be listened on: ${messageOf(error)}`, {
    hint: `${flag}=HOST:PORT with an address of this machine, or 0.0.0.0 for all of them`,
    cause: error,
  });
}

/** An IPv6 address without its brackets, as the system calls want it. */
export function bare(host: string): string {
  return host.startsWith("[") && host.endsWith("]") ? host.slice(1, -1) : host;
}
