/** How fast a queue moves, from counts that only grow, asked for again and again. Pure; a minute of samples, no more. */

export interface Sample {
  readonly atMs: number;
  readonly completed: number;
  readonly failed: number;
}

const windowMs = 60_000;
const rateMs = 5_000;

/** The samples of the last minute. Counts that shrank are of another store: they begin anew. */
export function withSample(samples: readonly Sample[], sample: Sample): readonly Sample[] {
  const last = samples.at(-1);
  if (last !== undefined && sample.completed < last.completed) return [sample];
  return [...samples.filter(({ atMs }) => sample.atMs - atMs <= windowMs), sample];
}

/** Per second, over the last five. */
export function rates(samples: readonly Sample[]): { readonly completed: number; readonly failed: number } {
  const last = samples.at(-1);
  const first = samples.find(({ atMs }) => last !== undefined && last.atMs - atMs <= rateMs);
  if (last === undefined || first === undefined || first === last) return { completed: 0, failed: 0 };
  const seconds = (last.atMs - first.atMs) / 1_000;
  return { completed: (last.completed - first.completed) / seconds, failed: (last.failed - first.failed) / seconds };
}

/** The path of a line of completed jobs a second, in a box of 60 by 20; the newest at the right. */
export function linePath(samples: readonly Sample[]): string {
  const last = samples.at(-1);
  if (last === undefined || samples.length < 3) return "";
  const points = samples.slice(1).map((sample, index) => {
    const before = samples[index]!;
    return { atMs: sample.atMs, rate: ((sample.completed - before.completed) * 1_000) / (sample.atMs - before.atMs) };
  });
  const highest = Math.max(1, ...points.map(({ rate }) => rate));
  const x = (atMs: number) => 60 - (last.atMs - atMs) / 1_000;
  return points
    .map(
      ({ atMs, rate }, index) =>
        `${index === 0 ? "M" : "L"}${x(atMs).toFixed(1)} ${(19 - (rate / highest) * 18).toFixed(1)}`,
    )
    .join("");
}
