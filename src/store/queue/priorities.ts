/**
 * The priorities of a queue's jobs, and how workers share themselves between them: by turns, so that none starves. Where a driver holds
 * jobs of which priority is the driver's.
 *
 * The turns are taken where jobs are taken from the store, not where they get a slot: what a worker holds beyond its slots is half a
 * second's work (worker/prefetch.ts), and no more is between an urgent job and its start.
 */

export const priorities = ["high", "normal", "low"] as const;
export type Priority = (typeof priorities)[number];

/** Of ten jobs that are taken while all three have some waiting. */
const shares: { readonly [P in Priority]: number } = { high: 6, normal: 3, low: 1 };

export class Turns {
  readonly #credit: { [P in Priority]: number } = { high: 0, normal: 0, low: 0 };

  /** Whose turn it is: smooth weighted round robin, which spreads the turns of each evenly instead of giving them in a row. */
  next(among: readonly Priority[]): Priority {
    let all = 0;
    let chosen = among[0]!;
    for (const one of among) {
      all += shares[one];
      this.#credit[one] += shares[one];
      if (this.#credit[one] > this.#credit[chosen]) chosen = one;
    }
    this.#credit[chosen] -= all;
    return chosen;
  }

  /**
   * Takes up to `max` in turn. `take` answers with fewer than it was asked for where there are no more; its share then goes to the others,
   * so that nothing is held back for a priority nobody uses.
   */
  async take<T>(
    max: number,
    among: readonly Priority[],
    take: (priority: Priority, max: number) => Promise<readonly T[]>,
  ): Promise<readonly T[]> {
    const taken: T[] = [];
    let left = among;
    while (taken.length < max && left.length > 0) {
      const order = Array.from({ length: max - taken.length }, () => this.next(left));
      const asked = left.map((priority) => order.filter((turn) => turn === priority).length);
      const answers = await Promise.all(left.map((priority, index) => takeShare(priority, asked[index]!, take)));
      const given = answers.map(() => 0);
      for (const turn of order) {
        const index = left.indexOf(turn);
        const one = answers[index]![given[index]!++];
        if (one !== undefined) taken.push(one);
      }
      left = left.filter((_, index) => answers[index]!.length === asked[index]);
    }
    return taken;
  }
}

function takeShare<T>(
  priority: Priority,
  share: number,
  take: (priority: Priority, max: number) => Promise<readonly T[]>,
): Promise<readonly T[]> {
  return share === 0 ? Promise.resolve([]) : take(priority, share);
}
