/**
 * How the numbers of metric_table.ts reach /metrics. Code on the hot path counts in plain numbers of its own and is
 * read when scraped (`collect`, `collectHistogram`); everything else uses `counter`, `gauge` and `histogram`. An application's own
 * metrics are registered by runtime/metrics.ts into the same registry.
 */
import { type Aggregator, Counter, Gauge, Histogram as PromHistogram, type Metric, Registry } from "prom-client";

import { type Histogram, secondsBuckets } from "../std/histogram.ts";
import { type Definition, metricTable } from "./metric_table.ts";

export type MetricName = keyof typeof metricTable;
type NamesOf<T extends Definition["type"]> = {
  [N in MetricName]: (typeof metricTable)[N]["type"] extends T ? N : never;
}[MetricName];

export type Labels = { readonly [label: string]: string };
/** Reports one series' value during a scrape. */
export type Report = (labels: Labels, value: number) => void;

/** What /metrics shows. */
export const registry = new Registry();

const definitionOf = (name: MetricName): Definition => metricTable[name];
/** As prom-client calls it. */
function aggregatorOf({ across = "sum" }: Definition): Aggregator {
  return across === "supervisor" ? "first" : across;
}

/** Whether the number of the whole is the supervisor's own; false for an application's metrics. */
export function isOfSupervisor(name: string): boolean {
  return (metricTable as { readonly [name: string]: Definition })[name]?.across === "supervisor";
}

const made = new Map<MetricName, Counter | Gauge | PromHistogram>();

function once<M extends Counter | Gauge | PromHistogram>(name: MetricName, make: (definition: Definition) => M): M {
  const existing = made.get(name);
  if (existing) return existing as M;
  const metric = make(definitionOf(name));
  made.set(name, metric);
  return metric;
}

function settings(name: MetricName, definition: Definition) {
  const { help, labels = [] } = definition;
  return { name, help, labelNames: [...labels], aggregator: aggregatorOf(definition), registers: [registry] };
}

/** A counter off the hot path (about 0.5 µs an inc). */
export function counter(name: NamesOf<"counter">): Counter {
  return once(name, (definition) => new Counter(settings(name, definition)));
}

export function gauge(name: NamesOf<"gauge">): Gauge {
  return once(name, (definition) => new Gauge(settings(name, definition)));
}

/** A histogram off the hot path (0.5–0.85 µs an observe). Observes seconds unless its name says otherwise. */
export function histogram(name: NamesOf<"histogram">): PromHistogram {
  return once(
    name,
    (definition) =>
      new PromHistogram({ ...settings(name, definition), buckets: [...(definition.buckets ?? secondsBuckets)] }),
  );
}

/** Publishes plain numbers as a counter or gauge: `read` is called at each scrape and reports every series. */
export function collect(name: NamesOf<"counter" | "gauge">, read: (report: Report) => void): void {
  publish(name, definitionOf(name), () => {
    const values: Value[] = [];
    read((seriesLabels, value) => values.push({ labels: seriesLabels, value }));
    return values;
  });
}

/** Publishes plain histograms: `read` is called at each scrape and reports every series. */
export function collectHistogram(
  name: NamesOf<"histogram">,
  read: (report: (labels: Labels, histogram: Histogram) => void) => void,
): void {
  publish(name, definitionOf(name), () => {
    const values: Value[] = [];
    read((seriesLabels, series) => pushHistogram(values, name, seriesLabels, series));
    return values;
  });
}

interface Value {
  readonly metricName?: string;
  readonly labels: Labels;
  readonly value: number;
}

function pushHistogram(values: Value[], name: string, labels: Labels, series: Histogram): void {
  let below = 0;
  for (const [index, bound] of series.bounds.entries()) {
    below += series.counts[index]!;
    values.push({ metricName: `${name}_bucket`, labels: { ...labels, le: String(bound) }, value: below });
  }
  values.push({ metricName: `${name}_bucket`, labels: { ...labels, le: "+Inf" }, value: series.count });
  values.push({ metricName: `${name}_sum`, labels, value: series.sum });
  values.push({ metricName: `${name}_count`, labels, value: series.count });
}

/** prom-client asks a registered metric for these, and nothing else when it renders. */
function publish(name: string, definition: Definition, read: () => Value[]): void {
  const { help, type, labels = [] } = definition;
  const about = { name, help, type, aggregator: aggregatorOf(definition) };
  const metric = {
    ...about,
    labelNames: labels,
    collect: () => undefined,
    reset: () => undefined,
    get: () => Promise.resolve({ ...about, values: read() }),
  };
  registry.removeSingleMetric(name);
  registry.registerMetric(metric as unknown as Metric);
}
