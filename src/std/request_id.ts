/** Request ids: unique over the fleet, cheap to make, safe to log. Not secret, not random enough to be one. */

const prefix = crypto.randomUUID().slice(0, 8);
let count = 0;

/** A new id such as 5f0c1b2e-1z: a random prefix for the process, then a counter. */
export function makeRequestId(): string {
  count++;
  return `${prefix}-${count.toString(36)}`;
}

/** Whether an id from outside may be carried on: short, and of letters that mean nothing to a log or a shell. */
export function isSafeRequestId(id: string): boolean {
  return /^[A-Za-z0-9_.:-]{1,128}$/.test(id);
}
