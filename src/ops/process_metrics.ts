/** The basics of this process. prom-client's defaults are absurd on Bun (a heap of 6 GB), so these few are our own. */
import { readdirSync } from "node:fs";

import { droppedLines } from "./log.ts";
import { collect } from "./metrics.ts";

/** Puts process_*, scale_build_info and scale_ready on /metrics. */
export function publishProcessMetrics(about: {
  readonly version: string;
  readonly role: string;
  readonly ready: () => boolean;
}): void {
  const startedAt = Date.now() / 1_000 - process.uptime();
  collect("process_cpu_seconds_total", (report) => {
    const { user, system } = process.cpuUsage();
    report({}, (user + system) / 1e6);
  });
  collect("process_resident_memory_bytes", (report) => report({}, process.memoryUsage.rss()));
  collect("process_start_time_seconds", (report) => report({}, startedAt));
  collect("process_open_fds", (report) => report({}, openFiles()));
  collect("scale_build_info", (report) => report({ version: about.version, role: about.role }, 1));
  collect("scale_ready", (report) => report({}, about.ready() ? 1 : 0));
  collect("scale_log_lines_dropped_total", (report) => report({}, droppedLines()));
}

function openFiles(): number {
  try {
    return readdirSync("/proc/self/fd").length;
  } catch {
    return 0;
  }
}
