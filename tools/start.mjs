// `npm start`: from a fresh clone to the main job, in the foreground: install, build when stale, `./scale dev` with the arguments given.
// Invariant: one Ctrl-C is one signal to scale, and this process ends after scale did, with its exit code.
// Not here: anything about what `scale dev` does.

import { spawn } from "node:child_process";
import { constants } from "node:os";

import { bun, install, must, root } from "./install.mjs";

/** A terminal's Ctrl-C arrives here twice, from the terminal and from npm; to scale a second signal means "now". */
const ECHO_MS = 250;

install();
must([bun, "tools/build.ts", "--if-stale"], "the build failed");

// A session of its own: signals reach scale from here only. The working directory stays the user's.
const scale = spawn(`${root}scale`, ["dev", ...process.argv.slice(2)], { stdio: "inherit", detached: true });
let forwardedAt = -Infinity;
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => forward(signal));
scale.on("error", (error) => {
  process.stderr.write(`scale: ${root}scale does not start (${error.message})\n`);
  process.exit(1);
});
scale.on("exit", (code, signal) => process.exit(code ?? 128 + constants.signals[signal]));

function forward(signal) {
  if (performance.now() - forwardedAt < ECHO_MS) return;
  forwardedAt = performance.now();
  scale.kill(signal);
}
