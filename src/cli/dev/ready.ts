/** How `scale dev` learns that a child is ready, and where it listens: from what the child itself has written down. */
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";

import type { Role } from "../../config/options.ts";
import type { Presence } from "../../ops/run_dir.ts";

const probeMilliseconds = 1_000;

/** A role is ready when /readyz on its admin listener says so. */
export function roleIsReady(runDir: string, role: Role): (pid: number) => Promise<boolean> {
  return async (pid) => {
    const admin = presenceOf(runDir, role, pid)?.admin;
    if (admin === undefined) return false;
    try {
      return (await fetch(`http://${admin}/readyz`, { signal: AbortSignal.timeout(probeMilliseconds) })).ok;
    } catch {
      return false;
    }
  };
}

/** Whether the balancer's own metrics say that it routes to a target. */
export async function isRoutedTo(admin: string | undefined, target: string): Promise<boolean> {
  if (admin === undefined) return false;
  try {
    const response = await fetch(`http://${admin}/metrics`, { signal: AbortSignal.timeout(probeMilliseconds) });
    return (await response.text()).includes(`lb_target_healthy{target="${target}"} 1`);
  } catch {
    return false;
  }
}

/** What a role has written into the run directory, or undefined before it has. */
export function presenceOf(runDir: string, role: Role, pid: number | undefined): Presence | undefined {
  const text = read(join(runDir, `${role}-${pid}.json`));
  return text === undefined ? undefined : (JSON.parse(text) as Presence);
}

/** The embedded PostgreSQL is ready when it has written its URL; one left by an earlier run is removed first. */
export function postgresIsReady(dataDir: string): (pid: number) => Promise<boolean> {
  rmSync(join(dataDir, "url"), { force: true });
  return () => Promise.resolve(read(join(dataDir, "url")) !== undefined);
}

/** Holds the password; the file is readable by its owner only. */
export function embeddedUrl(dataDir: string): string {
  return read(join(dataDir, "url")) ?? "";
}

/** Undefined while the file is not there or still empty. */
function read(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8").trim() || undefined;
  } catch {
    return undefined;
  }
}
