/** What the machine must be set to for what was asked of scale: looked at when a role starts, with the fix in the message. */
import { readFileSync } from "node:fs";

import { ScaleError } from "../std/errors.ts";
import { log } from "./log.ts";

/** Files a process has open besides its connections: log, listeners, probes, stores, what Bun itself needs. */
const otherFilesMax = 100;

/** How many connections a process may hold open, besides what it needs itself. Bun has raised the soft limit to the hard one already. */
export function connectionsThatFit(limit = openFilesLimit()): number {
  return Math.max(1, limit - otherFilesMax);
}

/** Throws configuration_invalid where so many connections cannot be kept. `because` says with its flag where the number comes from. */
export function checkOpenFiles(connections: number, because: string, limit = openFilesLimit()): void {
  const needed = connections + otherFilesMax;
  if (limit >= needed) return;
  throw new ScaleError(
    "configuration_invalid",
    `${because}, so ${needed} open files are needed, and the limit of this process is ${limit}`,
    {
      hint: `ulimit -n ${needed} before the start, LimitNOFILE=${needed} in a systemd unit, or a lower limit of connections, of clients or (max_connections) of each target`,
    },
  );
}

/** The hard limit: what the soft one is set to. Infinity where there is none, or no /proc to read it from. */
function openFilesLimit(): number {
  return Number(/^Max open files +\S+ +(\d+)/m.exec(read("/proc/self/limits"))?.[1] ?? Number.POSITIVE_INFINITY);
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
