/** What the machine must be set to for what was asked of scale: looked at when a role starts, with the fix in the message. */
import { readFileSync } from "node:fs";

import { ScaleError } from "../std/errors.ts";
import { log } from "./log.ts";

/** Files a process has open besides its connections: log, listeners, probes, stores, what Bun itself needs. */
const otherFilesMax = 100;

/** What a process is configured to hold open at most. */
export interface OpenFiles {
  readonly connections: number;
  /** Where the number comes from, with its flag: begins a sentence. */
  readonly because: string;
  /** Somebody asked for that number: that it cannot be kept is their error, not only ours to mention. */
  readonly isGiven: boolean;
}

/**
 * Bun has raised the soft limit to the hard one already. Throws configuration_invalid where a number that was asked for cannot be
 * kept; warns where a default cannot.
 */
export function checkOpenFiles({ connections, because, isGiven }: OpenFiles, limit = openFilesLimit()): void {
  const needed = connections + otherFilesMax;
  if (limit === undefined || limit >= needed) return;
  const message = `${because}, so ${needed} open files are needed, and the limit of this process is ${limit}`;
  const hint = `ulimit -n ${needed} before the start, LimitNOFILE=${needed} in a systemd unit, or a lower limit of connections`;
  if (isGiven) throw new ScaleError("configuration_invalid", message, { hint });
  log.warn({ needed, limit }, `${message}: connections beyond it will fail. Fix: ${hint}`);
}

/** The hard limit: what the soft one is set to. Undefined where there is none, or no /proc to read it from. */
function openFilesLimit(): number | undefined {
  const limit = Number(/^Max open files +\S+ +(\d+)/m.exec(read("/proc/self/limits"))?.[1] ?? Number.NaN);
  return Number.isNaN(limit) ? undefined : limit;
}

/**
 * A listener that closes resets the connections that wait in its queue, unless the kernel moves them to another process on the same
 * port (Linux 5.14, net.ipv4.tcp_migrate_req in ip-sysctl.rst).
 */
export function warnAboutSharedPort(): void {
  if (read("/proc/sys/net/ipv4/tcp_migrate_req").trim() !== "0") return;
  log.warn(
    {},
    "net.ipv4.tcp_migrate_req is 0: when one of several processes on a port ends, connections it has not accepted yet are reset. " +
      "Fix: sysctl -w net.ipv4.tcp_migrate_req=1",
  );
}

function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
