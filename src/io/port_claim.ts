/**
 * Whose port it is, where several processes share one. SO_REUSEPORT would let a second start by mistake take half of the connections
 * silently, so whoever is first claims the port: nobody listens on it, not even sharing, and nobody else has claimed it. The claim is
 * a name that the kernel keeps in the same network namespace as the port, and gives back however its holder ends (unix(7), abstract
 * addresses; elsewhere than on Linux there are none, and the test is all there is). Children of the claimant, and a successor that is
 * told to take over, share the port without claiming it.
 */
import { ScaleError } from "../std/errors.ts";
import { formatHostPort, type HostPort } from "../std/units.ts";
import { listen } from "./listener.ts";

export interface Claim {
  /** With the port that was taken, if 0 was asked for. */
  readonly address: HostPort;
  /** Lets a successor claim it. Idempotent. */
  release(): void;
}

/** Throws address_taken, or configuration_invalid where the address is not one of this machine. `flag` is named in the error. */
export function claimPort(wanted: HostPort, flag: string): Claim {
  const test = listen({ address: wanted, flag, accept: () => undefined });
  try {
    // While nobody else can listen: two starts at once cannot both get here with the same port.
    return claimName(test.address, flag);
  } finally {
    test.stop();
  }
}

/** Claims a port that is shared already, of which a predecessor has let go. Throws address_taken while it has not. */
export function inheritClaim(address: HostPort): Claim {
  return claimName(address, "--listen");
}

function claimName(address: HostPort, flag: string): Claim {
  if (process.platform !== "linux") return { address, release: () => undefined };
  const text = formatHostPort(address);
  try {
    // Nobody has a reason to connect.
    const name = Bun.listen({ unix: `\0scale-listen-${text}`, socket: { data: (socket) => void socket.end() } });
    return { address, release: () => name.stop(true) };
  } catch (error) {
    if ((error as { code?: string }).code !== "EADDRINUSE") throw error;
    throw new ScaleError("address_taken", `another scale has ${flag}=${text} and is about to listen there`, {
      hint: `stop it, or choose another port with ${flag}`,
      cause: error,
    });
  }
}
