/** Ports nobody listens on: asked for before children are started, so that a busy one is one clear error and not a child's death. */
import type { HostPort } from "../std/units.ts";
import { listen, type Listener } from "./listener.ts";

/** Throws address_taken unless `address` can be listened on now. */
export function assertFree(address: HostPort): void {
  open(address).stop();
}

/** `count` different ports of the loopback address that are free now. */
export function freePorts(count: number): readonly number[] {
  const listeners = Array.from({ length: count }, () => open({ host: "127.0.0.1", port: 0 }));
  for (const listener of listeners) listener.stop();
  return listeners.map((listener) => listener.address.port);
}

function open(address: HostPort): Listener {
  return listen({ address, flag: "--listen", accept: () => undefined });
}
