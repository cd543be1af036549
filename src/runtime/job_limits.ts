/**
 * What limits a job over the whole fleet, from how an application says it to the gates that its jobs pass (store/queue/gates.ts): one at
 * a time and in order for a key, so many at a time, so many in a time; each of all its jobs and of those of a key.
 */
import type { JobOptions, Rate } from "scale";

import { durationOf } from "../std/units.ts";
import type { Gate } from "../store/queue/gates.ts";
import { invalid } from "./invalid_job.ts";

/** Checked. */
export interface JobLimits {
  readonly concurrency: { readonly perJob: number | undefined; readonly perKey: number | undefined };
  readonly rate: { readonly perJob: RateLimit | undefined; readonly perKey: RateLimit | undefined };
}

interface RateLimit {
  readonly max: number;
  readonly perMs: number;
}

/** Each place that is taken is kept account of. */
const placesMax = 10_000;
const keyCharsMax = 512;
const perMsMin = 10;
const perMsMax = 30 * 86_400_000;

/** Throws entry_invalid where they are none. */
export function limitsOf(name: string, { concurrency = {}, rateLimit = {} }: JobOptions): JobLimits {
  const { perJob, perKey } = typeof concurrency === "number" ? { perJob: concurrency, perKey: undefined } : concurrency;
  const rate = "max" in rateLimit ? { perJob: rateLimit, perKey: undefined } : rateLimit;
  return {
    concurrency: {
      perJob: perJob === undefined ? undefined : places(name, "concurrency", perJob),
      perKey: perKey === undefined ? undefined : places(name, "concurrency.perKey", perKey),
    },
    rate: {
      perJob: rate.perJob && rateOf(name, "rateLimit", rate.perJob),
      perKey: rate.perKey && rateOf(name, "rateLimit.perKey", rate.perKey),
    },
  };
}

function rateOf(name: string, what: string, { max, per }: Rate): RateLimit {
  try {
    return { max: places(name, `${what}.max`, max), perMs: durationOf(`${what}.per`, per, perMsMin, perMsMax) };
  } catch (error) {
    if (error instanceof RangeError) throw invalid(name, `${what}.per`, "10ms–30d", per);
    throw error;
  }
}

function places(name: string, what: string, value: number): number {
  if (Number.isInteger(value) && value >= 1 && value <= placesMax) return value;
  throw invalid(name, what, `a whole number, 1–${placesMax}`, value);
}

/**
 * Those of a job's key first: what waits for its key holds no place that others could use. Without a limit of its own, a key means one
 * at a time, in order. Throws entry_invalid for a key that is none.
 */
export function gatesOf(name: string, { concurrency, rate }: JobLimits, key: string | undefined): readonly Gate[] {
  const job = plainJob(name);
  return [
    ...(key === undefined ? [] : keyGates(name, { concurrency, rate }, key)),
    ...(concurrency.perJob === undefined ? [] : [{ name: `job:${job}`, max: concurrency.perJob }]),
    ...(rate.perJob === undefined ? [] : [{ name: `rate:${job}`, max: rate.perJob.max, per: rate.perJob.perMs }]),
  ];
}

function keyGates(name: string, { concurrency: { perKey }, rate }: JobLimits, key: string): readonly Gate[] {
  if (typeof key !== "string" || key === "" || key.length > keyCharsMax) {
    throw invalid(name, "key", `1–${keyCharsMax} characters`, key);
  }
  const of = `${plainJob(name)}:${plain(key)}`;
  return [
    perKey === undefined ? { name: `key:${of}`, max: 1, keep: true } : { name: `key:${of}`, max: perKey },
    ...(rate.perKey === undefined ? [] : [{ name: `key-rate:${of}`, max: rate.perKey.max, per: rate.perKey.perMs }]),
  ];
}

function plainJob(name: string): string {
  return plain(name).replaceAll(":", "%3A");
}

/** A gate's name has no control characters, and two of different keys are different. */
function plain(text: string): string {
  // oxlint-disable-next-line no-control-regex -- they are what is written otherwise
  return text.replace(/[%\x00-\x1f\x7f]/g, encodeURIComponent);
}
