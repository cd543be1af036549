/**
 * Wall clocks: what a clock on a wall of some time zone shows at an instant, and the instants at which it shows a time. A wall time is
 * a number as of Date.UTC, as if the wall were in Greenwich.
 */

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

/** The instants at which a wall clock shows a time: one; two, where clocks are put back; none, where they are put forward over it. */
export interface Instants {
  readonly at: readonly number[];
  /** Where there is none: the instant at which the clock jumps over it. */
  readonly jump?: number;
}

export class TimeZone {
  readonly name: string;
  readonly #format: Intl.DateTimeFormat;

  /** An IANA name, such as Europe/Berlin. Throws RangeError for any other. */
  constructor(name: string) {
    this.name = name;
    this.#format = new Intl.DateTimeFormat("en-US", {
      timeZone: name,
      calendar: "gregory",
      hourCycle: "h23",
      year: "numeric",
      month: "numeric",
      day: "numeric",
      hour: "numeric",
      minute: "numeric",
      second: "numeric",
    });
  }

  wallOf(instant: number): number {
    return instant + this.offsetAt(instant);
  }

  /** What is to be added to an instant to get its wall time. Whole seconds. */
  offsetAt(instant: number): number {
    const second = Math.floor(instant / 1_000) * 1_000;
    const [month = 0, day, year = 0, hour, minute, seconds] = this.#format.format(second).match(/\d+/g)!.map(Number);
    return Date.UTC(year, month - 1, day, hour, minute, seconds) - second;
  }

  /** Assumes that clocks do not change twice within two days. */
  instantsOf(wall: number): Instants {
    const before = this.offsetAt(wall - dayMs);
    const after = this.offsetAt(wall + dayMs);
    if (before === after) return { at: [wall - before] };
    const at = [wall - before, wall - after]
      .filter((instant) => this.wallOf(instant) === wall)
      .toSorted((a, b) => a - b);
    if (at.length > 0) return { at };
    return { at, jump: this.#changeBetween(wall - after, wall - before, after) };
  }

  /** Whether clocks change within `margin` of an instant. */
  changesAround(instant: number, margin: number): boolean {
    return this.offsetAt(instant - margin) !== this.offsetAt(instant + margin);
  }

  /** The first instant after `from`, up to `to`, with this offset. */
  #changeBetween(from: number, to: number, offset: number): number {
    let [low, high] = [from, to];
    while (high - low > 1_000) {
      const middle = Math.floor((low + high) / 2);
      if (this.offsetAt(middle) === offset) high = middle;
      else low = middle;
    }
    return Math.floor(high / 1_000) * 1_000;
  }
}
