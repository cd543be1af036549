// System calls of a small proxied request, counted by strace, which slows what it watches: several requests then share a wake-up more
// often than without it, and the peers, which are shown for comparison, are helped in the same way.

import { join } from "node:path";

import type { Proxy } from "./peers.ts";
import { load } from "./wrk.ts";

const connections = 16;

export async function systemCalls(
  proxies: readonly Proxy[],
  directory: string,
  seconds: number,
  callsMax: number,
): Promise<boolean> {
  process.stdout.write(`\n# System calls a request, ${connections} connections\n\n`);
  let holds = true;
  for (const proxy of proxies) {
    const counts = await count(proxy, join(directory, `strace.${proxy.name}`), seconds);
    const total = [...counts.values()].reduce((sum, each) => sum + each, 0);
    let bar = "";
    if (proxy.name === "scale") {
      holds = total <= callsMax;
      bar = `  (at most ${callsMax})${holds ? "" : "  EXCEEDED"}`;
    }
    const most = [...counts].toSorted((a, b) => b[1] - a[1]).filter(([, each]) => each >= 0.01);
    const calls = most.map(([name, each]) => `${name} ${each.toFixed(2)}`).join(", ");
    process.stdout.write(`${proxy.name.padEnd(10)}${total.toFixed(2).padStart(6)}${bar}  ${calls}\n`);
  }
  return holds;
}

/** Call → times a request. */
async function count(proxy: Proxy, file: string, seconds: number): Promise<ReadonlyMap<string, number>> {
  const pids = proxy.pids().map((pid) => `--attach=${pid}`);
  const strace = Bun.spawn(["strace", "-c", "-f", "-o", file, ...pids], { stderr: "pipe" });
  // It says that it is attached on its first line.
  await strace.stderr.getReader().read();
  const { requests } = await load(proxy, { path: "/", connections, seconds });
  strace.kill("SIGINT");
  await strace.exited;
  // Columns: % time, seconds, usecs/call, calls, [errors], syscall.
  const rows = (await Bun.file(file).text()).split("\n").flatMap((line) => {
    const row = /^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$/.exec(line);
    return row === null || row[2] === "total" ? [] : [[row[2]!, Number(row[1]) / requests] as const];
  });
  return new Map(rows);
}
