/** How `scale dev` learns that a child is ready, or why not, and where it listens: from what the child itself says. */
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";

import type { Role } from "../../config/options.ts";
import type { Readiness } from "../../ops/admin.ts";
import type { Presence } from "../../ops/run_dir.ts";
import type { Plan } from "../../ops/supervised.ts";

const probeMilliseconds = 1_000;

/** A role is ready when /readyz on its admin listener says so. */
export function roleReadiness(runDir: string, role: Role): Plan["readiness"] {
  return async (pid) => {
    const admin = presenceOf(runDir, role, pid)?.admin;
    if (admin === undefined) return { ready: false, reason: "it does not listen yet" };
    try {
      const response = await fetch(`http://${admin}/readyz`, { signal: AbortSignal.timeout(probeMilliseconds) });
      return { ready: response.ok, reason: reasonOf((await response.json()) as Readiness) };
    } catch {
      return { ready: false, reason: `http://${admin}/readyz does not answer` };
    }
  };
}

function reasonOf({ state, reason, stores }: Readiness): string {
  const down = Object.entries(stores ?? {}).filter(([, its]) => its !== "up");
  return (reason ?? state) + down.map(([store, its]) => `, ${store} is ${its}`).join("");
}

/** Whether the balancer's own metrics say that it routes to a target. */
export async function isRoutedTo(admin: string | undefined, target: string): Promise<boolean> {
  if (admin === undefined) return false;
  try {
    const response = await fetch(`http://${admin}/metrics`, { signal: AbortSignal.timeout(probeMilliseconds) });
    return (await response.text()).includes(`lb_target_healthy{service="default",target="${target}"} 1`);
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
export function postgresReadiness(dataDir: string): Plan["readiness"] {
  rmSync(join(dataDir, "url"), { force: true });
  return () => Promise.resolve({ ready: read(join(dataDir, "url")) !== undefined, reason: "it opens its data" });
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
