/**
 * Cron expressions: five fields and the instants they name. Pure.
 *
 *      minute 0–59 · hour 0–23 · day of month 1–31 · month 1–12 or JAN–DEC · day of week 0–7 or SUN–SAT, Sunday is 0 and 7
 *      each: *, n, a-b, either with /step, and lists of these with commas. With both days restricted, either is enough (crontab(5)).
 *
 * Daylight saving: a time that clocks jump over fires once, right after the jump; a time they show twice fires the first time. Only
 * where every hour is named (*) do ticks follow the hours that pass: none for those skipped, one in each of those repeated.
 */
import type { TimeZone } from "./time_zone.ts";
import { ExpectedError } from "./units.ts";

export interface Cron {
  readonly minutes: readonly number[];
  readonly hours: readonly number[];
  readonly days: ReadonlySet<number>;
  readonly months: ReadonlySet<number>;
  readonly weekdays: ReadonlySet<number>;
  /** "*": says nothing, so that the other day decides alone. */
  readonly anyDay: boolean;
  readonly anyWeekday: boolean;
}

interface Field {
  readonly what: string;
  readonly min: number;
  readonly max: number;
  /** In the order of their numbers, from min. */
  readonly names?: readonly string[];
}

const fields: readonly Field[] = [
  { what: "minute", min: 0, max: 59 },
  { what: "hour", min: 0, max: 23 },
  { what: "day of month", min: 1, max: 31 },
  {
    what: "month",
    min: 1,
    max: 12,
    names: ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
  },
  { what: "day of week", min: 0, max: 7, names: ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"] },
];

const minuteMs = 60_000;
const dayMs = 24 * 60 * minuteMs;
/** 29 February comes after eight years at the latest (1896–1904, 2096–2104). */
const searchDaysMax = 9 * 366;
/** More than clocks are ever put forward or back. */
const changeMs = 4 * 3_600_000;

/** Throws ExpectedError where it is none, or names no day there is. */
export function parseCron(text: string): Cron {
  const parts = text.trim().split(/\s+/);
  if (parts.length !== fields.length)
    throw new ExpectedError("five fields: minute hour day-of-month month day-of-week");
  const [minutes, hours, days, months, weekdays] = parts.map((part, index) => parseField(part, fields[index]!));
  const cron: Cron = {
    minutes: minutes!,
    hours: hours!,
    days: new Set(days),
    months: new Set(months),
    weekdays: new Set(weekdays!.map((day) => day % 7)),
    anyDay: parts[2] === "*",
    anyWeekday: parts[4] === "*",
  };
  if (nextWall(cron, 0) === undefined) throw new ExpectedError("a day that exists");
  return cron;
}

/** The first tick after an instant. */
export function nextTick(cron: Cron, zone: TimeZone, after: number): number {
  // Around a change, wall times earlier than now may still come.
  const margin = zone.changesAround(after, changeMs) ? changeMs : 0;
  let best = Number.POSITIVE_INFINITY;
  for (let wall = nextWall(cron, zone.wallOf(after) - margin); wall !== undefined; wall = nextWall(cron, wall + 1)) {
    for (const instant of ticksAt(cron, zone, wall)) if (instant > after) best = Math.min(best, instant);
    if (best < Number.POSITIVE_INFINITY && wall >= zone.wallOf(best) + margin) break;
  }
  return best;
}

/** The instants at which a wall time that matches fires. */
function ticksAt({ hours }: Cron, zone: TimeZone, wall: number): readonly number[] {
  const { at, jump } = zone.instantsOf(wall);
  if (hours.length === 24) return at;
  return jump === undefined ? at.slice(0, 1) : [jump];
}

/** The first matching wall time at or after another. */
function nextWall(cron: Cron, from: number): number | undefined {
  const start = Math.ceil(from / minuteMs) * minuteMs;
  let day = Math.floor(start / dayMs) * dayMs;
  for (let searched = 0; searched < searchDaysMax; searched++, day += dayMs) {
    if (!matchesDay(cron, new Date(day))) continue;
    const time = firstTime(cron, Math.max(0, start - day));
    if (time !== undefined) return day + time;
  }
  return undefined;
}

function matchesDay({ days, months, weekdays, anyDay, anyWeekday }: Cron, date: Date): boolean {
  if (!months.has(date.getUTCMonth() + 1)) return false;
  const day = days.has(date.getUTCDate());
  const weekday = weekdays.has(date.getUTCDay());
  return anyDay || anyWeekday ? day && weekday : day || weekday;
}

/** The first matching time of a day at or after `from`, both in milliseconds since its midnight. */
function firstTime({ hours, minutes }: Cron, from: number): number | undefined {
  for (const hour of hours) {
    for (const minute of minutes) {
      const time = (hour * 60 + minute) * minuteMs;
      if (time >= from) return time;
    }
  }
  return undefined;
}

function parseField(text: string, field: Field): readonly number[] {
  const values = new Set<number>();
  for (const item of text.split(",")) for (const value of parseItem(item, field)) values.add(value);
  return [...values].toSorted((a, b) => a - b);
}

function parseItem(item: string, field: Field): readonly number[] {
  const { what, min, max } = field;
  const match = /^(?:(\*)|(\w+)(?:-(\w+))?)(?:\/(\d+))?$/.exec(item);
  if (!match)
    throw new ExpectedError(`a ${what} such as ${min}, ${min}-${max}, */2 or ${min},${max}; "${item}" is none`);
  const [, any, first, last, step] = match;
  const from = any ? min : valueOf(first!, field);
  // A single number with a step goes on to the end; a week that ends on Sunday ends on its second number.
  let to = any || (step !== undefined && last === undefined) ? max : valueOf(last ?? first!, field);
  if (field.max === 7 && last !== undefined && to === 0) to = 7;
  const every = Number(step ?? 1);
  if (to < from || every < 1)
    throw new ExpectedError(`a ${what} range that goes up, with a step of at least 1; "${item}" is none`);
  const values: number[] = [];
  for (let value = from; value <= to; value += every) values.push(value);
  return values;
}

function valueOf(text: string, { what, min, max, names }: Field): number {
  const name = names?.indexOf(text.toUpperCase()) ?? -1;
  const value = name >= 0 ? name + min : /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  const form = names ? `${min}–${max} or ${names[0]}–${names.at(-1)}` : `${min}–${max}`;
  throw new ExpectedError(`a ${what} ${form}; "${text}" is none`);
}
