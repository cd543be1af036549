/** The module's `metrics`: an application's own counters and histograms, on /metrics beside scale's. */
import { Counter, Histogram } from "prom-client";

import { log } from "../ops/log.ts";
import { metricTable } from "../ops/metric_table.ts";
import { registry } from "../ops/metrics.ts";

/** Series of one metric. Beyond it the rest is refused: labels made of user input would fill the memory of every scraper. */
const seriesMax = 1_000;

type Labels = { [label: string]: string };

export const metrics = {
  counter(name: string, help: string, labels: readonly string[] = []) {
    const metric =
      existing(name, Counter) ?? new Counter({ name, help, labelNames: [...labels], registers: [registry] });
    const admit = bounded(name);
    return { inc: (values: Labels = {}, by = 1): void => void (admit(values) && metric.inc(values, by)) };
  },

  histogram(name: string, help: string, options: { labels?: readonly string[]; buckets?: readonly number[] } = {}) {
    const { labels = [], buckets } = options;
    const metric =
      existing(name, Histogram) ??
      new Histogram({
        name,
        help,
        labelNames: [...labels],
        registers: [registry],
        ...(buckets ? { buckets: [...buckets] } : {}),
      });
    const admit = bounded(name);
    const observe = (seconds: number, values: Labels = {}): void =>
      void (admit(values) && metric.observe(values, seconds));
    return {
      observe,
      async time<T>(body: () => Promise<T> | T, values: Labels = {}): Promise<T> {
        const start = performance.now();
        try {
          return await body();
        } finally {
          observe((performance.now() - start) / 1_000, values);
        }
      },
    };
  },
};

/** A module that is evaluated twice (two copies of a package) shares its metric instead of failing. */
function existing<M>(name: string, type: abstract new (...args: never[]) => M): M | undefined {
  if (name in metricTable)
    throw new Error(`metric ${name} is one of scale's own. Fix: another name, such as shop_${name}`);
  const metric: unknown = registry.getSingleMetric(name);
  return metric instanceof type ? metric : undefined;
}

const seriesOf = new Map<string, Set<string>>();

function bounded(name: string): (labels: Labels) => boolean {
  const seen = seriesOf.get(name) ?? new Set<string>();
  seriesOf.set(name, seen);
  return (labels) => {
    const key = Object.values(labels).join("\u0000");
    if (seen.has(key)) return true;
    if (seen.size >= seriesMax) return false;
    seen.add(key);
    if (seen.size === seriesMax)
      log.warn({ metric: name }, `${name} has ${seriesMax} series; further label values are not counted`);
    return true;
  };
}
