// CPU time a proxied request and requests a second: role lb against nginx, HAProxy and Caddy, one process each, before the same two
// backends, in alternating rounds of one run, so that what the machine does meanwhile hits all alike. Absolute times are noise; the ratio
// is the result.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { freePorts } from "../../src/io/free_port.ts";
import { cpuSeconds } from "../harness/proc.ts";
import { peers, type Proxy, startPeer } from "./proxy/peers.ts";

export const about = "CPU and rate of a proxied request against nginx, HAProxy and Caddy  [--rounds=5] [--seconds=2]";

/** Most CPU that scale may take, as a multiple of each peer's; the median over all cases must hold. */
const thresholds: { readonly [peer: string]: number } = { nginx: 1.15, haproxy: 1.25, caddy: 0.4 };

const browserHead: readonly string[] = [
  "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
  "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8",
  "Accept-Language: en-US,en;q=0.9,de;q=0.7",
  "Accept-Encoding: gzip, deflate, br, zstd",
  "Cookie: sid=8f1d0c5a7e2b49d38f1d0c5a7e2b49d38f1d0c5a7e2b49d3; theme=dark; consent=yes",
  "Sec-Fetch-Dest: document",
  "Sec-Fetch-Mode: navigate",
  "Sec-Fetch-Site: same-origin",
  "Upgrade-Insecure-Requests: 1",
];

interface Case {
  readonly name: string;
  readonly connections: number;
  readonly fields: readonly string[];
}

const cases: readonly Case[] = [16, 64, 256].flatMap((connections) => [
  { name: `${connections} connections, 40-byte head`, connections, fields: [] },
  { name: `${connections} connections, 650-byte head`, connections, fields: browserHead },
]);

/** scale compiles itself during its first 20,000 requests or so, which cost twice and more. */
const warmUpSeconds = 4;

interface Sample {
  readonly microseconds: number;
  readonly perSecond: number;
}

export async function run(args: readonly string[]): Promise<boolean> {
  const rounds = numberOf(args, "rounds", 5);
  const seconds = numberOf(args, "seconds", 2);
  const directory = mkdtempSync(join(tmpdir(), "scale-bench-"));
  await using cleanUp = new AsyncDisposableStack();
  cleanUp.defer(() => rmSync(directory, { recursive: true, force: true }));
  const backends = await Promise.all([startBackend(cleanUp), startBackend(cleanUp)]);
  const ports = freePorts(peers.length);
  const proxies: Proxy[] = [];
  for (const [index, peer] of peers.entries()) {
    if (peer.needs !== undefined && Bun.which(peer.needs) === null) {
      process.stdout.write(`${peer.name} is not measured: apt-get install ${peer.needs}\n`);
      continue;
    }
    proxies.push(cleanUp.use(await startPeer(peer, { directory, port: ports[index]!, backends })));
  }
  for (const proxy of proxies) await load(proxy, cases[0]!, warmUpSeconds);
  const ratios = new Map<string, number[]>();
  for (const each of cases) printCase(each, await measure(each, proxies, rounds, seconds), ratios);
  return verdict(ratios);
}

/** Every proxy once a round, after a round that does not count. */
async function measure(
  each: Case,
  proxies: readonly Proxy[],
  rounds: number,
  seconds: number,
): Promise<Map<string, Sample>> {
  const samples = new Map<string, Sample[]>(proxies.map(({ name }) => [name, []]));
  for (let round = 0; round <= rounds; round++) {
    for (const proxy of proxies) {
      const sample = await load(proxy, each, seconds);
      if (round > 0) samples.get(proxy.name)!.push(sample);
    }
  }
  return new Map([...samples].map(([name, list]) => [name, medianOf(list)]));
}

async function load(proxy: Proxy, { connections, fields }: Case, seconds: number): Promise<Sample> {
  const pids = proxy.pids();
  const cpu = () => pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0);
  const before = cpu();
  const options = ["-t1", `-c${connections}`, `-d${seconds}s`, ...fields.flatMap((field) => ["-H", field])];
  const wrk = Bun.spawn(["wrk", ...options, proxy.url], { stdout: "pipe", stderr: "inherit" });
  const text = await new Response(wrk.stdout).text();
  const spent = cpu() - before;
  const requests = Number(/(\d+) requests in/.exec(text)?.[1]);
  if (!(requests > 0) || /Non-2xx|Socket errors/.test(text))
    throw new Error(`${proxy.name} failed under load:\n${text}`);
  return { microseconds: (spent / requests) * 1e6, perSecond: Number(/Requests\/sec:\s+([\d.]+)/.exec(text)?.[1]) };
}

function medianOf(samples: readonly Sample[]): Sample {
  const median = (values: number[]) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
  return {
    microseconds: median(samples.map((sample) => sample.microseconds)),
    perSecond: median(samples.map((sample) => sample.perSecond)),
  };
}

function printCase({ name }: Case, results: ReadonlyMap<string, Sample>, ratios: Map<string, number[]>): void {
  process.stdout.write(
    `\n${name}\n${"".padEnd(10)}${"µs CPU".padStart(9)}${"requests/s".padStart(12)}${"scale / it".padStart(12)}\n`,
  );
  const own = results.get("scale")!;
  for (const [peer, { microseconds, perSecond }] of results) {
    const ratio = own.microseconds / microseconds;
    if (peer !== "scale") ratios.set(peer, [...(ratios.get(peer) ?? []), ratio]);
    process.stdout.write(
      `${peer.padEnd(10)}${microseconds.toFixed(1).padStart(9)}${perSecond.toFixed(0).padStart(12)}${ratio.toFixed(2).padStart(12)}\n`,
    );
  }
}

function verdict(ratios: ReadonlyMap<string, readonly number[]>): boolean {
  process.stdout.write("\nCPU a request, scale / peer, median over the cases\n");
  let holds = true;
  for (const [peer, list] of ratios) {
    const ratio = list.toSorted((a, b) => a - b)[list.length >> 1]!;
    const limit = thresholds[peer]!;
    holds &&= ratio <= limit;
    process.stdout.write(
      `${peer.padEnd(10)}${ratio.toFixed(2).padStart(6)}  (at most ${limit})${ratio <= limit ? "" : "  EXCEEDED"}\n`,
    );
  }
  return holds;
}

async function startBackend(cleanUp: AsyncDisposableStack): Promise<string> {
  const script = join(import.meta.dir, "proxy/backend.ts");
  const child = Bun.spawn(["setpriv", "--pdeathsig=KILL", process.execPath, script], { stdout: "pipe" });
  cleanUp.defer(() => child.kill());
  const { value } = await child.stdout.getReader().read();
  return `127.0.0.1:${new TextDecoder().decode(value).trim()}`;
}

function numberOf(args: readonly string[], name: string, otherwise: number): number {
  const given = args.find((arg) => arg.startsWith(`--${name}=`))?.slice(name.length + 3);
  return given === undefined ? otherwise : Number(given);
}
