/**
 * How long a client is waited for, in one number: a balance of milliseconds. Waiting spends it, each byte the client sends or takes earns
 * some back, and it never holds more than --body-timeout. So a client that stalls is given --body-timeout, and one that trickles is
 * given as much only if it keeps up --body-bytes-per-second-min. The same for slow uploads and slow downloads. Hot: plain numbers.
 */

export interface PatienceLimits {
  /** Milliseconds. */
  readonly bodyTimeout: number;
  /** 0: any byte is enough. */
  readonly bodyBytesPerSecondMin: number;
}

/** Of a client that is not waited for. */
const notWaiting = -1;

export class Patience {
  readonly #limits: PatienceLimits;
  #left: number;
  #since = notWaiting;

  constructor(limits: PatienceLimits) {
    this.#limits = limits;
    this.#left = limits.bodyTimeout;
  }

  /** Waits, or goes on waiting, from `now` on; returns until when. */
  wait(now: number): number {
    this.#spend(now);
    this.#since = now;
    return now + this.#left;
  }

  /** Something else is waited for. */
  stop(now: number): void {
    this.#spend(now);
    this.#since = notWaiting;
  }

  /** The client moved so many bytes. */
  earn(bytes: number, now: number): void {
    const { bodyTimeout, bodyBytesPerSecondMin } = this.#limits;
    if (bytes === 0) return;
    this.#spend(now);
    if (bodyBytesPerSecondMin === 0) this.#left = bodyTimeout;
    else this.#left = Math.min(bodyTimeout, this.#left + (bytes * 1_000) / bodyBytesPerSecondMin);
  }

  /** Another message begins. */
  renew(): void {
    this.#left = this.#limits.bodyTimeout;
    this.#since = notWaiting;
  }

  #spend(now: number): void {
    if (this.#since === notWaiting) return;
    this.#left -= now - this.#since;
    this.#since = now;
  }
}
