/**
 * Directories that are gone when the test process is, however it ends: a keeper removes them then. Where the keeper is killed too
 * (`bun test --no-orphans`), the next test process finds by the name that their owner is dead, and removes them.
 */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { isAlive } from "../../src/io/alive.ts";

const swept = new Set<string>();

/** A new directory /tmp/scale-NAME-PID-…; `name` has no dash. */
export function temporaryDirectory(name: string): string {
  const prefix = join(tmpdir(), `scale-${name}-`);
  if (!swept.has(name)) sweep(prefix);
  swept.add(name);
  const directory = mkdtempSync(`${prefix}${process.pid}-`);
  // `bun test` fires no exit event; the end of the pipe tells the keeper. What still runs in the directory ends within a second.
  const script = 'cat >/dev/null; sleep 1; rm -rf "$1"';
  Bun.spawn(["setsid", "sh", "-c", script, "keeper", directory], { stdio: ["pipe", "ignore", "ignore"] }).unref();
  return directory;
}

function sweep(prefix: string): void {
  for (const entry of readdirSync(tmpdir())) {
    const path = join(tmpdir(), entry);
    const owner = path.startsWith(prefix) ? Number.parseInt(path.slice(prefix.length), 10) : Number.NaN;
    if (owner > 0 && !isAlive(owner)) rmSync(path, { recursive: true, force: true });
  }
}
