// A database that is not on this machine: a relay that gives each byte its way. Between two machines of one zone it is half a millisecond
// or so; timers here are no finer than one.
import type { Socket } from "bun";

interface End {
  other: Socket<End> | undefined;
  readonly early: Buffer[];
}

/** Relays to `port` on this machine, each direction `milliseconds` late. Small messages only: nothing holds a sender back. */
export function atADistance(port: number, milliseconds: number): { readonly port: number; stop(): void } {
  const socket = {
    data(from: Socket<End>, bytes: Buffer) {
      const later = Buffer.from(bytes);
      setTimeout(
        () => (from.data.other === undefined ? from.data.early.push(later) : from.data.other.write(later)),
        milliseconds,
      );
    },
    close: (from: Socket<End>) => void from.data.other?.end(),
  };
  const listener = Bun.listen<End>({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      ...socket,
      async open(client) {
        client.data = { other: undefined, early: [] };
        const data: End = { other: client, early: [] };
        client.data.other = await Bun.connect<End>({ hostname: "127.0.0.1", port, data, socket });
        for (const bytes of client.data.early.splice(0)) client.data.other.write(bytes);
      },
    },
  });
  return { port: listener.port, stop: () => listener.stop(true) };
}
