// wrk drives the closed loops, and /proc tells what they cost the proxy. What latency a user would see is open_loop.ts: a closed loop
// asks less of whoever is slow.

import { cpuSeconds } from "../../harness/proc.ts";
import type { Proxy } from "./peers.ts";

export interface Load {
  readonly path: string;
  readonly connections: number;
  readonly seconds: number;
  /** Further lines of the head. */
  readonly fields?: readonly string[];
  /** A Lua script of wrk's. */
  readonly script?: string;
}

export interface Outcome {
  readonly requests: number;
  readonly perSecond: number;
  /** Of the proxy and its workers. */
  readonly cpuSeconds: number;
}

/** Loads the proxy once. Throws if an answer failed. */
export async function load(proxy: Proxy, { path, connections, seconds, fields = [], script }: Load): Promise<Outcome> {
  const pids = proxy.pids();
  const cpu = () => pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0);
  const options = ["-t1", `-c${connections}`, `-d${seconds}s`, ...fields.flatMap((field) => ["-H", field])];
  if (script !== undefined) options.push("-s", script);
  const before = cpu();
  const wrk = Bun.spawn(["wrk", ...options, `${proxy.url}${path.slice(1)}`], { stdout: "pipe", stderr: "inherit" });
  const text = await new Response(wrk.stdout).text();
  const spent = cpu() - before;
  const requests = Number(/(\d+) requests in/.exec(text)?.[1]);
  if (!(requests > 0) || /Non-2xx|Socket errors/.test(text))
    throw new Error(`${proxy.name} failed under load:\n${text}`);
  return { requests, perSecond: Number(/Requests\/sec:\s+([\d.]+)/.exec(text)?.[1]), cpuSeconds: spent };
}
