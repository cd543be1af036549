// `npm test`: everything a fresh machine lacks, then the suite; arguments go to `bun test`. Exits with its code.
// Not here: counting results for CI (ci.mjs), the static checks (ok.ts).

import { spawn } from "node:child_process";
import { constants } from "node:os";

import { bun, fail, install, must, root } from "./install.mjs";
import { bring, openssl, pgbouncer, postgres, redis } from "./servers.mjs";

const missing = bring(postgres, pgbouncer, redis, openssl);
if (missing !== undefined) fail(missing);
install();
must([bun, "tools/build.ts", "--if-stale"], "the build failed");

const report = ["--reporter=junit", "--reporter-outfile=build/junit.xml"];
const suite = spawn(bun, ["test", "--timeout=60000", ...report, ...process.argv.slice(2)], {
  cwd: root,
  stdio: "inherit",
});
// Ctrl-C reaches the suite from the terminal; this process stays to report how it ended.
process.on("SIGINT", () => {});
process.on("SIGTERM", () => suite.kill("SIGTERM"));
suite.on("exit", (code, signal) => process.exit(code ?? 128 + constants.signals[signal]));
