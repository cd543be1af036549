/**
 * What only one balancer can have, and a successor gets as a loan that lasts as long as the connection it asked on: the kernel ends that
 * however the successor ends. Until it says that it is done (SIGTERM), everything comes back with it, and the next one may ask.
 *
 *     held ──lend()──▶ lent ──it is gone──▶ returning ──all is back, or time is up──▶ held
 *                        └──the balancer drains: the successor keeps it
 *
 * What is lent is offices.ts' and succession.ts', the connection orders.ts'.
 */
import { log } from "../../src/ops/log.ts";
import { messageOf, ScaleError } from "../../src/std/errors.ts";
import { pause } from "../../src/std/pause.ts";

export interface Office {
  /** As an operator calls it. */
  readonly name: string;
  /** Lets go of it. */
  lend(): void | Promise<void>;
  /** Throws while somebody else has it. */
  takeBack(): void | Promise<void>;
}

const retryMilliseconds = 20;
/** Until then a process that is gone has let go of everything. */
const handoverMilliseconds = 5_000;

export class Loan {
  /** In the order in which they are lent and come back. */
  readonly #offices: Office[] = [];
  readonly #draining: AbortSignal;
  #state: "held" | "lent" | "returning" = "held";

  constructor(draining: AbortSignal) {
    this.#draining = draining;
  }

  include(office: Office): void {
    this.#offices.push(office);
  }

  /** Returns what says that this successor is gone. Throws conflict while another has it, or nobody can. */
  async lend(): Promise<() => void> {
    if (this.#state !== "held" || this.#draining.aborted) {
      throw new ScaleError("conflict", "another successor takes over, or this balancer ends already", {
        hint: "start it again when that is done; with nobody to take over from, it is an ordinary start",
      });
    }
    this.#state = "lent";
    log.info({}, "a successor takes over");
    for (const office of this.#offices) await office.lend();
    let isOver = false;
    return () => {
      if (!isOver) void this.#takeBack();
      isOver = true;
    };
  }

  /** Never rejects. */
  async #takeBack(): Promise<void> {
    this.#state = "returning";
    for (const office of this.#offices) {
      const { name } = office;
      try {
        await handedOver(() => office.takeBack(), this.#draining);
      } catch (error) {
        // The first is the port: whoever has that has the right to the others.
        log.error({ office: name }, `the successor is gone, and ${name} does not come back: ${messageOf(error)}`);
        break;
      }
    }
    if (this.#draining.aborted) return;
    this.#state = "held";
    log.warn({}, "the successor ended before it had taken over: this balancer goes on");
  }
}

/** Does `take` until it does not throw, for as long as one waits for what somebody else is about to let go of; then rejects. */
export async function handedOver<T>(take: () => T | Promise<T>, draining: AbortSignal): Promise<T | undefined> {
  const deadline = performance.now() + handoverMilliseconds;
  while (!draining.aborted) {
    try {
      return await take();
    } catch (error) {
      if (performance.now() > deadline) throw error;
    }
    await pause(retryMilliseconds, draining);
  }
  return undefined;
}
