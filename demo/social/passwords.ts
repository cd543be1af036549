/**
 * Password hashes: argon2id with OWASP's minimum (m=19456 KiB, t=2, p=1; 44 ms of one core, 19 MiB each). Only a few are computed
 * at once and few may wait: a flood of log-ins costs a flood of 503, not the machine. What a password may look like is validate.ts.
 */
import { HttpError } from "scale";

const cost = { algorithm: "argon2id", memoryCost: 19_456, timeCost: 2 } as const;
const hashesAtOnceMax = 2;
const hashesWaitingMax = 64;

/** The hash of a random word thrown away: what a log-in to an unknown account is compared with, so that both take the same time. */
const nobody =
  "$argon2id$v=19$m=19456,t=2,p=1$OrR0oThOO9gZvtr1jELL1h6togQLwzazUwDrGrgcnoE$9PDdo619smrTCa/BukLhtHldgqt0E5WyemiN2GYhW4c";

let running = 0;
const waiting: (() => void)[] = [];

export function hash(password: string): Promise<string> {
  return inTurn(() => Bun.password.hash(password, cost));
}

/** Takes the same time whether the account exists (its hash is given) or not. */
export async function matches(password: string, passwordHash: string | undefined): Promise<boolean> {
  const same = await inTurn(() => Bun.password.verify(password, passwordHash ?? nobody));
  return same && passwordHash !== undefined;
}

async function inTurn<T>(work: () => Promise<T>): Promise<T> {
  if (running < hashesAtOnceMax) running++;
  else await turn();
  try {
    return await work();
  } finally {
    const next = waiting.shift();
    if (next === undefined) running--;
    else next(); // hands its place on, so nobody slips in between
  }
}

function turn(): Promise<void> {
  if (waiting.length >= hashesWaitingMax) {
    throw new HttpError(503, "too many people are signing in, try again in a moment", {
      code: "overloaded",
      headers: { "retry-after": "2" },
    });
  }
  const { promise, resolve } = Promise.withResolvers<void>();
  waiting.push(resolve);
  return promise;
}
