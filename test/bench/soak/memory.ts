// What memory did over a soak: samples of each part, and whether they grow. Pure.

export interface Sample {
  /** Seconds since the soak began. */
  readonly at: number;
  readonly bytes: number;
}

export interface Trend {
  /** Medians of the first and of the last fifth. */
  readonly firstBytes: number;
  readonly lastBytes: number;
  /** By which it rises from the first sample to the last, as the slope has it. */
  readonly grownBytes: number;
}

/**
 * The slope is Theil and Sen's: the median of the slopes between samples, which a collector's saw-tooth and single peaks do not move.
 * Of pairs, those half the time apart: others say more of the noise.
 */
export function trendOf(samples: readonly Sample[]): Trend {
  const fifth = Math.ceil(samples.length / 5);
  const half = Math.floor(samples.length / 2);
  const slopes: number[] = [];
  for (let first = 0; first + half < samples.length; first++) {
    for (let later = first + half; later < samples.length; later++)
      slopes.push(slope(samples[first]!, samples[later]!));
  }
  const seconds = samples.length < 2 ? 0 : samples.at(-1)!.at - samples[0]!.at;
  return {
    firstBytes: median(samples.slice(0, fifth).map(({ bytes }) => bytes)),
    lastBytes: median(samples.slice(-fifth).map(({ bytes }) => bytes)),
    grownBytes: samples.length < 2 ? 0 : median(slopes) * seconds,
  };
}

function slope(from: Sample, to: Sample): number {
  return (to.bytes - from.bytes) / (to.at - from.at);
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
}
