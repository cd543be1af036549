/**
 * Ports nobody listens on: asked for before children are started, so that a busy one is one clear error and not a child's death.
 *
 * They lie below what systems hand out to whoever asks for any port or connects somewhere (Linux from 32768, others from 49152): a
 * port is left free while its child is away, and in that range somebody else would sooner or later have it when the child comes back.
 * Even whoever tries to connect to it there can be given that very port, and is then connected to himself.
 */
import type { HostPort } from "../std/units.ts";
import { listen, type Listener } from "./listener.ts";

const portMin = 20_000;
const portMax = 31_999;
/** Of this many in a row one is free, unless nearly all are taken. */
const triesMax = 100;

/** Throws address_taken unless `address` can be listened on now. */
export function assertFree(address: HostPort): void {
  open(address).stop();
}

/** `count` different ports of the loopback address that are free now. Throws address_taken where there are hardly any. */
export function freePorts(count: number): readonly number[] {
  const listeners: Listener[] = [];
  try {
    while (listeners.length < count) listeners.push(openAny(triesMax));
    return listeners.map((listener) => listener.address.port);
  } finally {
    for (const listener of listeners) listener.stop();
  }
}

function openAny(tries: number): Listener {
  const port = portMin + Math.floor(Math.random() * (portMax - portMin + 1));
  try {
    return open({ host: "127.0.0.1", port });
  } catch (error) {
    if (tries <= 1) throw error;
    return openAny(tries - 1);
  }
}

function open(address: HostPort): Listener {
  return listen({ address, flag: "--listen", accept: () => undefined });
}
