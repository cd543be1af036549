/**
 * What one client may ask of the balancer: --rate-limit and --requests-per-client-max. Who a client is: its address, as far as trusted
 * proxies tell, or what a header says, where --rate-limit names one. What is refused is answered with 429 and when to come back.
 */
import type { Config } from "../../src/config/options.ts";
import { ScaleError } from "../../src/std/errors.ts";
import type { RequestHead } from "../../src/wire/message.ts";
import { clientKey } from "./client_key.ts";
import { InFlight } from "./in_flight.ts";
import { RateLimit } from "./rate_limit.ts";

/** Of a header's value: clients whose names begin with the same so many characters share a bucket. */
const clientCharactersMax = 128;
const retryInFlightSeconds = 1;

export class Limits {
  readonly #rate: RateLimit | undefined;
  /** Lower-case name, undefined for the address. */
  readonly #header: Buffer | undefined;
  readonly #inFlight: InFlight | undefined;
  /** Requests refused; metrics.ts publishes them when scraped. */
  readonly refused = { rate: 0, concurrency: 0 };

  constructor({ rateLimit, requestsPerClientMax }: Pick<Config, "rateLimit" | "requestsPerClientMax">) {
    if (rateLimit !== undefined) this.#rate = new RateLimit(rateLimit);
    if (rateLimit?.header !== undefined) this.#header = Buffer.from(rateLimit.header, "latin1");
    if (requestsPerClientMax > 0) this.#inFlight = new InFlight(requestsPerClientMax);
  }

  /** Whether there is nothing to ask. */
  get areNone(): boolean {
    return this.#rate === undefined && this.#inFlight === undefined;
  }

  /** Lets a request in, and `leave` must follow; or says why not. */
  enter(address: string, head: RequestHead, now: number): ScaleError | undefined {
    const client = clientKey(address);
    const wait = this.#rate?.take(this.#named(head) ?? client, now) ?? 0;
    if (wait > 0) {
      this.refused.rate++;
      return limited("too many requests", Math.ceil(wait / 1_000));
    }
    if (this.#inFlight?.enter(client) === false) {
      this.refused.concurrency++;
      return limited("too many requests at a time", retryInFlightSeconds);
    }
    return undefined;
  }

  leave(address: string): void {
    this.#inFlight?.leave(clientKey(address));
  }

  /** The client as the header has it: no address looks like it. */
  #named(head: RequestHead): string | undefined {
    if (this.#header === undefined) return undefined;
    const index = head.fields.findName(this.#header);
    return index === -1 ? undefined : `=${head.fields.value(index).slice(0, clientCharactersMax)}`;
  }
}

function limited(message: string, retryAfterSeconds: number): ScaleError {
  return new ScaleError("rate_limited", message, { retryAfterSeconds });
}
