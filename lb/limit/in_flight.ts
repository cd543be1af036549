/** How many requests of one client are being handled at a time. Bounded by itself: a client with none is not in the table. */

export class InFlight {
  readonly #most: number;
  readonly #requests = new Map<string, number>();

  constructor(most: number) {
    this.#most = most;
  }

  /** False: the client has as many as it may have. Else `leave` must follow. */
  enter(client: string): boolean {
    const requests = this.#requests.get(client) ?? 0;
    if (requests >= this.#most) return false;
    this.#requests.set(client, requests + 1);
    return true;
  }

  leave(client: string): void {
    const left = this.#requests.get(client)! - 1;
    if (left === 0) this.#requests.delete(client);
    else this.#requests.set(client, left);
  }
}
