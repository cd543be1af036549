// The compiled ./scale that scenarios run: built when it is missing or older than its sources.

import { resolve } from "node:path";

const root = resolve(import.meta.dir, "../..");
let ready: Promise<string> | undefined;

/** Path of the binary. Asked by several test processes at once it is built once: tools/build.ts locks. */
export function scaleBinary(): Promise<string> {
  ready ??= build();
  return ready;
}

async function build(): Promise<string> {
  const builder = Bun.spawn([process.execPath, "tools/build.ts", "--if-stale"], {
    cwd: root,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const output = await Promise.all([builder.stdout, builder.stderr].map((stream) => new Response(stream).text()));
  if ((await builder.exited) !== 0) throw new Error(`./scale cannot be built:\n${output.join("")}`);
  return `${root}/scale`;
}
