// The latency users would see at half of what nginx can take at most.

import { openLoop } from "../open_loop.ts";
import type { Case } from "./compare.ts";
import type { Proxy } from "./peers.ts";
import { load } from "./wrk.ts";

const connections = 256;

/** Finds out nginx's maximum first; without nginx there is nothing to compare with. */
export async function latencyAtHalf(proxies: readonly Proxy[], seconds: number): Promise<readonly Case[]> {
  const nginx = proxies.find(({ name }) => name === "nginx");
  if (nginx === undefined) return [];
  const most = await load(nginx, { path: "/", connections: 64, seconds });
  const perSecond = Math.round(most.perSecond / 2);
  return [
    {
      name: `p99 at ${perSecond} requests/s, half of nginx's maximum`,
      async take(proxy, duration) {
        const latencies = await openLoop({ url: proxy.url, perSecond, seconds: duration, connections });
        if (latencies.failures.size > 0) throw new Error(`${proxy.name} failed under load: ${latencies.describe()}`);
        return { value: latencies.percentile(0.99), perSecond };
      },
    },
  ];
}
