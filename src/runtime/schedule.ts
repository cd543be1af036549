/**
 * The module's `schedule`: when a job is enqueued without anybody asking. Checked here where the application is loaded; firing is
 * worker/schedule.ts, which ticks are due worker/ticks.ts.
 */
import type { Job, Json, Schedule, schedule as Contract } from "scale";

import { type Cron, parseCron } from "../std/cron.ts";
import { messageOf, ScaleError } from "../std/errors.ts";
import { TimeZone } from "../std/time_zone.ts";
import { durationOf } from "../std/units.ts";
import { shown } from "./invalid_job.ts";
import type { JobDefinition } from "./job_definition.ts";
import { jobBehind } from "./jobs.ts";
import { assertJson } from "./json_value.ts";
import { validated } from "./standard_schema.ts";

/** What became due while nobody could fire it: nothing of it, the newest, or all. */
export type CatchUp = "skip" | "one" | "all";

export type Rhythm =
  | { readonly kind: "cron"; readonly cron: Cron; readonly zone: TimeZone }
  | { readonly kind: "every"; readonly everyMs: number };

/** What role worker needs to know of a schedule. */
export interface ScheduleDefinition {
  readonly name: string;
  readonly rhythm: Rhythm;
  readonly catchUp: CatchUp;
  readonly target: JobDefinition;
  /** JSON text. */
  readonly payload: string;
}

type When = Parameters<typeof Contract>[1];

const nameForm = /^[a-z0-9][a-z0-9_-]{0,62}$/;
const everyMsMin = 100;
const everyMsMax = 366 * 86_400_000;
const catchUps: readonly string[] = ["skip", "one", "all"] satisfies readonly CatchUp[];

const definitions = new WeakMap<object, ScheduleDefinition>();

/** Defines a schedule. Throws entry_invalid where its name, its rhythm or its payload is none. */
export function schedule(name: string, when: When, target: Job<never>, payload: Json = null): Schedule {
  if (!nameForm.test(name)) throw invalid(name, "its name", "lower-case letters, digits, - and _, at most 63", name);
  const { catchUp = "one" } = when;
  if (!catchUps.includes(catchUp)) throw invalid(name, "catchUp", catchUps.join(", "), catchUp);
  const text = checked(name, "its payload", () => {
    assertJson(payload, "the payload");
    return JSON.stringify(payload);
  });
  const made: Schedule = { name };
  const job = jobBehind(target, `the target of schedule "${name}"`);
  definitions.set(made, { name, rhythm: rhythmOf(name, when), catchUp, target: job, payload: text });
  return made;
}

/** The schedules of an application. Throws entry_invalid where one is none, has no job to enqueue, or shares its name. */
export async function scheduleTable(
  schedules: readonly Schedule[],
  jobs: ReadonlyMap<string, JobDefinition>,
  source: string,
): Promise<readonly ScheduleDefinition[]> {
  const names = new Set<string>();
  const table: ScheduleDefinition[] = [];
  for (const [index, made] of schedules.entries()) {
    const definition = definitions.get(made);
    if (definition === undefined) {
      throw new ScaleError("entry_invalid", `${source}: schedules[${index}] is not made by schedule() of "scale"`, {
        hint: 'import { schedule } from "scale"; schedule("nightly", { cron: "0 3 * * *" }, report)',
      });
    }
    const { name, target, payload } = definition;
    if (names.has(name)) throw new ScaleError("entry_invalid", `${source}: two schedules are named "${name}"`);
    if (jobs.get(target.name) !== target) {
      throw new ScaleError("entry_invalid", `${source}: schedule "${name}" enqueues "${target.name}", no job of it`, {
        hint: `app({ jobs: [${target.name}, …], schedules: […] })`,
      });
    }
    if (target.schema) await validated(target.schema, JSON.parse(payload), `the payload of schedule "${name}"`);
    names.add(name);
    table.push(definition);
  }
  return table;
}

function rhythmOf(name: string, when: When): Rhythm {
  if ("every" in when) {
    const everyMs = checked(name, "every", () => durationOf("every", when.every, everyMsMin, everyMsMax));
    return { kind: "every", everyMs };
  }
  const cron = checked(name, `the cron expression "${when.cron}"`, () => parseCron(when.cron));
  const { timeZone = "UTC" } = when;
  const zone = checked(name, `the time zone "${timeZone}"`, () => new TimeZone(timeZone));
  return { kind: "cron", cron, zone };
}

function checked<T>(name: string, what: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw new ScaleError("entry_invalid", `schedule("${name}"): ${what} is not valid: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

function invalid(name: string, what: string, expected: string, got: unknown): ScaleError {
  return new ScaleError("entry_invalid", `schedule("${name}"): ${what} is ${shown(got)}, expected ${expected}`);
}
