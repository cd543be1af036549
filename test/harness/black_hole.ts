// A port that answers nothing: connecting to it hangs, as to a machine that is gone. Its listener never accepts, and once its queue is full
// the kernel drops whatever else comes.
import { connect, type Socket } from "node:net";

import { eventually } from "./eventually.ts";
import { connectionsOf } from "./proc.ts";

export interface BlackHole extends AsyncDisposable {
  readonly port: number;
}

const neverAccepts = `
  const { port } = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  require("node:fs").writeSync(1, port + "\\n");
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
`;
/** Of connections that are made before it is looked whether the queue is full. */
const batch = 64;

export async function blackHole(): Promise<BlackHole> {
  // Killed when the test process dies.
  const command = ["setpriv", "--pdeathsig=KILL", process.execPath, "-e", neverAccepts];
  const child = Bun.spawn(command, { stdout: "pipe", stderr: "inherit" });
  const { value } = await child.stdout.getReader().read();
  const port = Number(new TextDecoder().decode(value));
  const filling: Socket[] = [];
  const isFull = (): boolean =>
    connectionsOf(process.pid).some(({ remotePort, state }) => remotePort === port && state === "other");
  do {
    const more = Array.from({ length: batch }, () => connect(port, "127.0.0.1").on("error", () => undefined));
    filling.push(...more);
    await eventually(() => isFull() || more.every(({ readyState }) => readyState === "open"));
  } while (!isFull());
  for (const socket of filling) if (socket.readyState !== "open") socket.destroy();
  return {
    port,
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await child.exited;
      for (const socket of filling) socket.destroy();
    },
  };
}
