// scale and its peers under the same load in turn, round after round: a comparison is a list of cases and the most that scale may take
// of what each peer takes. The ratio is made within a round and its median over the rounds counts, case by case.

import type { Proxy } from "./peers.ts";

export interface Pace {
  readonly rounds: number;
  /** Of one load on one proxy. */
  readonly seconds: number;
}

export interface Sample {
  /** What is compared: less is better. */
  readonly value: number;
  readonly perSecond: number;
}

export interface Case {
  readonly name: string;
  take(proxy: Proxy, seconds: number): Promise<Sample>;
}

export interface Comparison {
  readonly title: string;
  /** Of the value, and what is counted a second. */
  readonly unit: string;
  readonly rate: string;
  /** Peer → most that scale's value may be as a multiple of its. */
  readonly ratiosMax: { readonly [peer: string]: number };
  readonly cases: readonly Case[];
}

/** scale compiles itself during its first 20,000 requests or so of a kind, which cost twice and more. */
export const warmUpSeconds = 4;

/** Runs every case and prints its table; resolves with whether every bar held. */
export async function compare(comparison: Comparison, all: readonly Proxy[], pace: Pace): Promise<boolean> {
  const proxies = all.filter(({ name }) => name === "scale" || comparison.ratiosMax[name] !== undefined);
  process.stdout.write(`\n# ${comparison.title}\n`);
  let holds = true;
  for (const each of comparison.cases) {
    const rounds: ReadonlyMap<string, Sample>[] = [];
    for (let round = 0; round <= pace.rounds; round++) {
      const samples = await oneRound(each, proxies, round === 0 ? warmUpSeconds : pace.seconds);
      if (round > 0) rounds.push(samples);
    }
    holds = print(comparison, each, proxies, rounds) && holds;
  }
  return holds;
}

async function oneRound(each: Case, proxies: readonly Proxy[], seconds: number): Promise<ReadonlyMap<string, Sample>> {
  const samples = new Map<string, Sample>();
  for (const proxy of proxies) samples.set(proxy.name, await each.take(proxy, seconds));
  return samples;
}

function print(
  { unit, rate, ratiosMax }: Comparison,
  { name }: Case,
  proxies: readonly Proxy[],
  rounds: readonly ReadonlyMap<string, Sample>[],
): boolean {
  process.stdout.write(
    `\n${name}\n${"".padEnd(10)}${unit.padStart(12)}${rate.padStart(12)}${"scale / it".padStart(12)}\n`,
  );
  let holds = true;
  for (const proxy of proxies) {
    const of = (read: (sample: Sample) => number) => median(rounds.map((round) => read(round.get(proxy.name)!)));
    const ratio = median(rounds.map((round) => round.get("scale")!.value / round.get(proxy.name)!.value));
    const most = ratiosMax[proxy.name] ?? Number.POSITIVE_INFINITY;
    holds &&= ratio <= most;
    process.stdout.write(
      `${proxy.name.padEnd(10)}${of((sample) => sample.value)
        .toFixed(2)
        .padStart(12)}` +
        `${of((sample) => sample.perSecond)
          .toFixed(0)
          .padStart(12)}${ratio.toFixed(2).padStart(12)}` +
        `${Number.isFinite(most) ? `  (at most ${most})${ratio <= most ? "" : "  EXCEEDED"}` : ""}\n`,
    );
  }
  return holds;
}

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}
