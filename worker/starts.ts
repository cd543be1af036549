/**
 * Records that attempts begin, so that one whose worker dies is counted. What may begin at once is recorded on its way; a job that is run
 * alone waits for the answer. Who begins when is consumer.ts.
 */
import { log } from "../src/ops/log.ts";
import { fullJitter } from "../src/std/backoff.ts";
import { messageOf } from "../src/std/errors.ts";
import type { Beginning, Consumer, Lease } from "../src/store/queue/queue.ts";

const retryMsBase = 50;
const retryMsMax = 1_000;

export class Starts {
  readonly #source: Pick<Consumer, "begin">;
  readonly #queue: string;
  readonly #lose: (lost: readonly Lease[]) => void;

  /** `lose` is told of leases that were no longer ours. */
  constructor(source: Pick<Consumer, "begin">, queue: string, lose: (lost: readonly Lease[]) => void) {
    this.#source = source;
    this.#queue = queue;
    this.#lose = lose;
  }

  /** Records that these begin. Whether all were ours; undefined where the store did not say so. */
  async note(beginnings: readonly Beginning[]): Promise<boolean | undefined> {
    if (beginnings.length === 0) return true;
    try {
      const lost = await this.#source.begin(beginnings);
      this.#lose(lost);
      return lost.length === 0;
    } catch (error) {
      log.debug({ queue: this.#queue }, `starts are not recorded: ${messageOf(error)}`);
      return undefined;
    }
  }

  /**
   * Asks until the store answers, or nobody `wants` to begin any more. Giving up after a first try would leave a start behind that may
   * have been recorded: an attempt that never was, held against the job. Recorded twice it is the same start.
   */
  async confirm(beginning: () => Beginning, wants: () => boolean): Promise<boolean> {
    for (let failures = 1; wants(); failures++) {
      const ours = await this.note([beginning()]);
      if (ours !== undefined) return ours && wants();
      await Bun.sleep(retryMsBase + fullJitter(failures, retryMsBase, retryMsMax));
    }
    return false;
  }
}
