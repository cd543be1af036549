// Finds the programs the tests start (PostgreSQL, PgBouncer, Redis, OpenSSL, a browser), and on Debian as root installs what is missing.
// Invariant: only programs are brought; a server that belongs to the system is neither used nor stopped.
// Not here: starting private servers (test/harness).

import { spawnSync } from "node:child_process";
import { accessSync, constants, readdirSync } from "node:fs";
import { delimiter } from "node:path";

export const postgres = { name: "PostgreSQL", program: "postgres", packages: ["postgresql"] };
export const pgbouncer = { name: "PgBouncer", program: "pgbouncer", packages: ["pgbouncer"] };
// Sentinels and Clusters are the same program.
export const redis = { name: "Redis", program: "redis-server", packages: ["redis-server"] };
export const openssl = { name: "OpenSSL", program: "openssl", packages: ["openssl"] };
export const browser = { name: "Chromium", program: "chromium", packages: ["chromium", "fonts-liberation"] };

/** Returns undefined when each of them is there, else one sentence: what is missing, and which packages bring it. */
export function bring(...wanted) {
  const missing = wanted.filter((one) => !found(one.program));
  if (missing.length === 0) return undefined;
  const names = missing.map((one) => one.name).join(" and ");
  const install = ["install", "--no-install-recommends", ...missing.flatMap((one) => one.packages)];
  const command = `apt-get ${install.join(" ")}`;
  if (process.getuid?.() !== 0 || !found("apt-get")) {
    return `the tests need ${names}, not found on the PATH or where Debian keeps it. Fix, as root: ${command}`;
  }
  process.stdout.write(`scale: installing ${names} (${command})\n`);
  if (!apt("update", "-qq") || !apt("-y", "-qq", ...install)) return `${command} failed: is a Debian mirror reachable?`;
  const still = missing.filter((one) => !found(one.program));
  return still.length === 0 ? undefined : `${command} did not bring ${still.map((one) => one.program).join(", ")}`;
}

/** Is the program on the PATH, or where Debian keeps servers? */
export function found(program) {
  return places().some((directory) => executable(`${directory}/${program}`));
}

function apt(...args) {
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  return spawnSync("apt-get", args, { stdio: ["ignore", "inherit", "inherit"], env }).status === 0;
}

function places() {
  return [...(process.env.PATH ?? "").split(delimiter), "/usr/bin", "/usr/sbin", ...postgresVersions()];
}

// Debian keeps each version's programs apart and off the PATH.
function postgresVersions() {
  try {
    return readdirSync("/usr/lib/postgresql").map((version) => `/usr/lib/postgresql/${version}/bin`);
  } catch {
    return [];
  }
}

function executable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
