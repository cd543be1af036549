// What CI runs: Chromium for the browser test, the README's test command, the static checks; last line "N passed, N failed".
// Invariant: that line is printed whatever happened, counts what bun test itself reported, and the exit code is 0 only without failures.
// Not here: how the suite is started (test.mjs).

import { spawnSync } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";

import { bun, root } from "./install.mjs";
import { bring, browser } from "./servers.mjs";

const report = `${root}build/junit.xml`;

const missing = bring(browser);
if (missing !== undefined) process.stdout.write(`${missing}\nwithout it the tests of the page are skipped\n`);
rmSync(report, { force: true });
const suite = run("npm", "test");
const count = { passed: 0, failed: 0, skipped: 0 };
readReport();
for (const step of ["fmt", "lint", "check", "docs"])
  count[run(bun, "tools/ok.ts", step) === 0 ? "passed" : "failed"] += 1;

const skipped = count.skipped > 0 ? `, ${count.skipped} skipped` : "";
process.stdout.write(`\n${count.passed} passed, ${count.failed} failed${skipped}\n`);
process.exit(count.failed === 0 ? 0 : 1);

// The totals of the report's root element: <testsuites name="bun test" tests="3" assertions="2" failures="1" skipped="1" time="0.05">
function readReport() {
  try {
    const [head] = readFileSync(report, "utf8").match(/<testsuites [^>]*>/);
    const total = (name) => Number(head.match(`\\b${name}="(\\d+)"`)[1]);
    count.failed = total("failures");
    count.skipped = total("skipped");
    count.passed = total("tests") - count.failed - count.skipped;
  } catch {
    count.failed = 1;
    process.stdout.write(`no readable report at ${report}: the suite did not run to its end\n`);
  }
  // A suite can fail without a failed test: a file that does not load, a preload that throws, no test at all.
  if (suite !== 0 && count.failed === 0) count.failed = 1;
}

function run(program, ...args) {
  return spawnSync(program, args, { cwd: root, stdio: "inherit" }).status ?? 1;
}
