// `npm start`: from a fresh clone to the main job, in the foreground: install, build when stale, `./scale dev` with the arguments given.
// Invariant: one Ctrl-C is one signal to scale, and this process ends after scale did, with its exit code. Nothing outlives what was
// started: npm gone, however it went, ends this process, and this process gone ends scale. (package.json says `exec` so that no shell stands
// between: one that npm signals dies, or waits, and tells nobody.)
// Not here: anything about what `scale dev` does.

import { spawn } from "node:child_process";
import { constants } from "node:os";

import { bun, install, must, root } from "./install.mjs";

/** A terminal's Ctrl-C arrives here twice, from the terminal and from npm; to scale a second signal means "now". */
const ECHO_MS = 250;
/** npm that is killed says nothing; this process then has another parent. */
const PARENT_POLL_MS = 500;

install();
must([bun, "tools/build.ts", "--if-stale"], "the build failed");

// A session of its own: signals reach scale from here only. The working directory stays the user's.
const scale = spawn(`${root}scale`, ["dev", "--stop-with-parent", ...process.argv.slice(2)], {
  stdio: "inherit",
  detached: true,
});
let forwardedAt = -Infinity;
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => forward(signal));
// Without npm there is nobody whose end would mean anything: a shell may go and leave its jobs.
const parent = process.env.npm_lifecycle_event === undefined ? undefined : process.ppid;
const orphaned = setInterval(() => {
  if (parent === undefined || process.ppid === parent) return;
  clearInterval(orphaned);
  forward("SIGTERM");
}, PARENT_POLL_MS);
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
