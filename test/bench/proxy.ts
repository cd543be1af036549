// What role lb costs against nginx, HAProxy and Caddy, one process each, before the same two backends, in alternating rounds of one run,
// so that what the machine does meanwhile hits all alike. Absolute times are noise; the ratio is the result. The bars are here; how each
// part measures is in proxy/.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { freePorts } from "../../src/io/free_port.ts";
import { largeBodies } from "./proxy/bodies.ts";
import { compare, type Pace, warmUpSeconds } from "./proxy/compare.ts";
import { idleConnections, targetConnectionsMax } from "./proxy/idle.ts";
import { latencyAtHalf } from "./proxy/latency.ts";
import { peers, type Place, type Proxy, startPeer } from "./proxy/peers.ts";
import { smallRequests } from "./proxy/requests.ts";
import { systemCalls } from "./proxy/system_calls.ts";
import { load } from "./proxy/wrk.ts";

interface Scene {
  readonly proxies: readonly Proxy[];
  readonly directory: string;
  readonly pace: Pace;
  /** A balancer that has served nothing yet. */
  readonly startFresh: () => Promise<Proxy>;
}

/** The 99th percentile of one load is the machine's moods; its median over this many times the rounds of a cost is a result. */
const latencyRounds = 4;

/** Each part says whether its bars held. Ratios are the most that scale may take of what the peer takes, case by case. */
const parts: { readonly [name: string]: (scene: Scene) => Promise<boolean> } = {
  requests: ({ proxies, pace }) =>
    compare(
      {
        title: "CPU of a small proxied request",
        unit: "µs CPU",
        rate: "requests/s",
        ratiosMax: { nginx: 1, haproxy: 1, caddy: 0.3 },
        cases: smallRequests,
      },
      proxies,
      pace,
    ),
  bodies: async ({ proxies, pace, directory }) =>
    await compare(
      {
        title: "CPU of a MB in 1 MiB bodies",
        unit: "ms CPU",
        rate: "MB/s",
        ratiosMax: { nginx: 0.7, haproxy: 1 },
        cases: await largeBodies(directory),
      },
      proxies,
      pace,
    ),
  latency: async ({ proxies, pace }) =>
    await compare(
      {
        title: "Latency in an open loop",
        unit: "ms",
        rate: "requests/s",
        ratiosMax: { nginx: 1 },
        cases: await latencyAtHalf(proxies, pace.seconds),
      },
      proxies,
      { ...pace, rounds: pace.rounds * latencyRounds },
    ),
  idle: async ({ startFresh }) => {
    await using proxy = await startFresh();
    return await idleConnections(proxy, 2048);
  },
  "system-calls": ({ proxies, pace, directory }) => systemCalls(proxies, directory, pace.seconds, 5),
};

export const about = `role lb against nginx, HAProxy and Caddy  [--only=${Object.keys(parts).join(",")}] [--rounds=5] [--seconds=2]`;

export async function run(args: readonly string[]): Promise<boolean> {
  const chosen = (optionOf(args, "only") ?? Object.keys(parts).join(",")).split(",");
  const unknown = chosen.filter((name) => parts[name] === undefined);
  if (unknown.length > 0)
    throw new Error(`--only=${unknown.join(",")}: the parts are ${Object.keys(parts).join(", ")}`);
  const pace = { rounds: Number(optionOf(args, "rounds") ?? 5), seconds: Number(optionOf(args, "seconds") ?? 2) };
  const directory = mkdtempSync(join(tmpdir(), "scale-bench-"));
  await using cleanUp = new AsyncDisposableStack();
  cleanUp.defer(() => rmSync(directory, { recursive: true, force: true }));
  const backends = await Promise.all([startBackend(cleanUp), startBackend(cleanUp)]);
  const place = (name: string): Place => ({ directory: join(directory, name), port: freePorts(1)[0]!, backends });
  const bounded = backends.map((backend) => `${backend},max_connections=${targetConnectionsMax / backends.length}`);
  const startFresh = () => startPeer(peers[0]!, { ...place("fresh"), backends: bounded });
  const proxies = chosen.every((name) => name === "idle") ? [] : await startAll(cleanUp, place);
  let holds = true;
  for (const name of chosen) holds = (await parts[name]!({ proxies, directory, pace, startFresh })) && holds;
  return holds;
}

async function startAll(cleanUp: AsyncDisposableStack, place: (name: string) => Place): Promise<readonly Proxy[]> {
  const proxies: Proxy[] = [];
  for (const peer of peers) {
    if (peer.needs !== undefined && Bun.which(peer.needs) === null) {
      process.stdout.write(`${peer.name} is not measured: apt-get install ${peer.needs}\n`);
      continue;
    }
    proxies.push(cleanUp.use(await startPeer(peer, place(peer.name))));
  }
  for (const proxy of proxies) await load(proxy, { path: "/", connections: 16, seconds: warmUpSeconds });
  return proxies;
}

async function startBackend(cleanUp: AsyncDisposableStack): Promise<string> {
  const script = join(import.meta.dir, "proxy/backend.ts");
  const child = Bun.spawn(["setpriv", "--pdeathsig=KILL", process.execPath, script], { stdout: "pipe" });
  cleanUp.defer(() => child.kill());
  const { value } = await child.stdout.getReader().read();
  return `127.0.0.1:${new TextDecoder().decode(value).trim()}`;
}

function optionOf(args: readonly string[], name: string): string | undefined {
  return args.find((arg) => arg.startsWith(`--${name}=`))?.slice(name.length + 3);
}
