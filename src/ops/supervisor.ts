/**
 * The supervisor of several processes of role app or worker: claims the port they share, keeps them running, and answers on one admin
 * listener for all. It serves nothing itself. Role lb has a supervisor of its own (lb/), which is its control plane too.
 */
import type { Config } from "../config/options.ts";
import { version } from "../config/version.ts";
import { claimPort } from "../io/port_claim.ts";
import { formatHostPort } from "../std/units.ts";
import { type Readiness, serveAdmin } from "./admin.ts";
import { type Merges, pageOfChildren } from "./child_pages.ts";
import { Lifecycle } from "./lifecycle.ts";
import { log } from "./log.ts";
import { warnAboutSharedPort } from "./machine.ts";
import { publishProcessMetrics } from "./process_metrics.ts";
import { Processes } from "./processes.ts";
import { announce } from "./run_dir.ts";

/**
 * Runs until it is told to stop; resolves with the exit code when no child is left, and rejects, as late, where one cannot start.
 * `merges`: of pages of which each process has a part.
 */
export async function run(config: Config, merges: Merges): Promise<number> {
  const life = new Lifecycle();
  life.listen({ withParent: config.stopWithParent });
  const listen = config.command === "app" ? claimPortOf(config, life) : undefined;
  const processes = new Processes(config, listen === undefined ? {} : { listen });
  return superviseUntilStopped(life, processes, () => start({ config, life, processes, listen, merges }));
}

/** Whatever ends it, nothing of it is left running. */
export async function superviseUntilStopped(
  life: Lifecycle,
  processes: Processes,
  start: () => Promise<void>,
): Promise<number> {
  try {
    return await life.run(start);
  } catch (error) {
    void life.drain("could not start", 1);
    await life.stopped;
    throw error;
  } finally {
    // After a second signal there may be some.
    processes.signal("SIGKILL");
  }
}

/** Takes the port that the children share; returns where it is. */
function claimPortOf(config: Config, life: Lifecycle): string {
  const port = claimPort(config.listen, "--listen");
  life.onClose("port", () => port.release());
  warnAboutSharedPort();
  return formatHostPort(port.address);
}

/** Of the whole: its own phase, and what its processes say. */
export async function readinessOf(life: Lifecycle, processes: Processes): Promise<Readiness> {
  const { ready, ...rest } = await processes.readiness();
  return { ready: ready && life.phase === "ready", state: life.phase, ...rest };
}

interface Parts {
  readonly config: Config;
  readonly life: Lifecycle;
  readonly processes: Processes;
  readonly listen: string | undefined;
  readonly merges: Merges;
}

async function start({ config, life, processes, listen, merges }: Parts): Promise<void> {
  const role = config.command;
  const admin = serveAdmin(config.admin, {
    readiness: () => readinessOf(life, processes),
    metrics: () => processes.metrics(),
    page: (request) => pageOfChildren(processes, merges, request),
  });
  life.onClose("admin", () => admin.close());
  publishProcessMetrics({ version, role, ready: () => life.phase === "ready" });
  life.onClose("processes", () => processes.stop());
  // An application may have a meaning for it; without one it ends a process, which then comes back. Not on the way out: there it would
  // cut off what is under way.
  process.on("SIGHUP", () => {
    if (!life.draining.aborted) processes.signal("SIGHUP");
  });
  const presence = { pid: process.pid, role, instance: config.instance, listen, admin: admin.address };
  life.onClose("run directory", announce(config, presence));
  log.info(
    { listen, admin: admin.address, processes: config.processes },
    `role ${role} starts ${config.processes} processes`,
  );
  await processes.start();
  life.ready();
}
