// Brings what the lockfile names into node_modules, and Bun with it. Runs on plain Node, because before it there is no Bun.
// Invariant: after install() returns, `bun` is a working binary of the version package.json asks for.
// Not here: what Debian packages the tests need (servers.mjs), building the binary (build.ts).

import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("..", import.meta.url));
/** The bun command of node_modules. */
export const bun = `${root}node_modules/bun/bin/bun.exe`;

/** Installs only when something is missing: an installed tree costs a few milliseconds. Exits with a message when it cannot. */
export function install() {
  if (!matchesLockfile()) {
    process.stdout.write("scale: installing packages (npm ci)\n");
    const npm = process.env.npm_execpath ? [process.execPath, process.env.npm_execpath] : ["npm"];
    must([...npm, "ci", "--no-audit", "--no-fund"], "npm ci failed: is the npm registry reachable?");
  }
  // With ignore-scripts in an .npmrc, bun's postinstall, which moves the binary into place, has not run.
  if (!bunWorks()) must([process.execPath, `${root}node_modules/bun/install.js`], "Bun could not be put in place");
  if (!bunWorks()) fail(`${bun} does not run as version ${wantedBun()}. Fix: rm -r node_modules, then npm ci`);
}

/** Runs a command in the project's root, its output shown; ends this process with its code when it fails. */
export function must(command, message) {
  const [program, ...args] = command;
  const done = spawnSync(program, args, { cwd: root, stdio: "inherit" });
  if (done.status !== 0) fail(`${message}${done.error ? ` (${done.error.message})` : ""}`, done.status ?? 1);
}

/** Says why on standard error and ends the process. */
export function fail(message, code = 1) {
  process.stderr.write(`scale: ${message}\n`);
  process.exit(code);
}

// By content, not by time: a checkout touches files without changing them, and npm ci empties node_modules first.
function matchesLockfile() {
  const installed = `${root}node_modules/.package-lock.json`;
  if (!existsSync(installed)) return false;
  const wanted = packages(`${root}package-lock.json`);
  const present = packages(installed);
  const everyIs = (some, others, ok) =>
    Object.entries(some).every(([path, one]) => path === "" || ok(one) || others[path]?.version === one.version);
  // What is for another platform is in the lockfile only.
  return everyIs(present, wanted, () => false) && everyIs(wanted, present, (one) => one.optional === true);
}

function packages(file) {
  return JSON.parse(readFileSync(file, "utf8")).packages;
}

function bunWorks() {
  const said = spawnSync(bun, ["--version"], { encoding: "utf8" });
  return said.status === 0 && said.stdout.trim() === wantedBun();
}

function wantedBun() {
  return JSON.parse(readFileSync(`${root}package.json`, "utf8")).devDependencies.bun;
}
