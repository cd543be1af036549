/** Request ids: unique over the fleet, cheap to make, safe to log. Not secret, not random enough to be one. */

/** The last two digits of every count in base 36: a number's text is made once for so many requests. */
const endings = Array.from({ length: 36 * 36 }, (_, ending) => ending.toString(36).padStart(2, "0"));

const prefix = crypto.randomUUID().slice(0, 8);
let count = 0;
let beginning = `${prefix}-0`;

/** A new id such as 5f0c1b2e-11z: a random prefix for the process, then a counter. */
export function makeRequestId(): string {
  const ending = endings[count++ % endings.length]!;
  const id = beginning + ending;
  if (count % endings.length === 0) beginning = `${prefix}-${(count / endings.length).toString(36)}`;
  return id;
}

/** Whether an id from outside may be carried on: short, and of letters that mean nothing to a log or a shell. */
export function isSafeRequestId(id: string): boolean {
  return /^[A-Za-z0-9_.:-]{1,128}$/.test(id);
}
