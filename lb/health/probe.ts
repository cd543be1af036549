/**
 * One active check: a request on a connection of its own, through the same code that carries requests. What the result means for the
 * target is state.ts'.
 */
import type { StatusRange } from "../../src/config/kinds.ts";
import { asEvent } from "../../src/io/connection.ts";
import type { ScaleError } from "../../src/std/errors.ts";
import { formatHostPort, type HostPort } from "../../src/std/units.ts";
import { Fields } from "../../src/wire/fields.ts";
import { length, nothingShared, type RequestHead, type ResponseHead } from "../../src/wire/message.ts";
import type { Upstream, UpstreamUser } from "../stream.ts";
import type { UpstreamLimits } from "../upstream/http1.ts";
import type { Pool } from "../upstream/pool.ts";
import type { CheckResult } from "./state.ts";

/** What of a body is looked at for the word. */
const bodyBytesMax = 4096;
const probeFields: readonly string[] = ["User-Agent", "scale-health-check", "Accept", "application/json"];

export interface ProbeOptions extends UpstreamLimits {
  readonly healthPath: string;
  readonly healthMethod: string;
  readonly healthStatus: readonly StatusRange[];
  /** Milliseconds for the whole check. */
  readonly healthTimeout: number;
}

/** Asks `address`, which `pool` leads to, how it is. Always resolves. */
export function probe(pool: Pool, address: HostPort, options: ProbeOptions): Promise<CheckResult> {
  return new Promise((resolve) => new Probe(address, options, resolve).start(pool));
}

class Probe implements UpstreamUser {
  readonly #address: HostPort;
  readonly #options: ProbeOptions;
  readonly #begunAt = Date.now();
  #upstream: Upstream | undefined;
  readonly #timer: ReturnType<typeof setTimeout>;
  readonly #done: (result: CheckResult) => void;
  #status = 0;
  #text = "";

  constructor(address: HostPort, options: ProbeOptions, done: (result: CheckResult) => void) {
    this.#address = address;
    this.#options = options;
    this.#done = done;
    this.#timer = setTimeout(() => asEvent(() => this.#expire()), options.healthTimeout);
  }

  start(pool: Pool): void {
    this.#upstream = pool.dial(this);
  }

  attached(upstream: Upstream): void {
    const head: RequestHead = {
      method: this.#options.healthMethod,
      authority: formatHostPort(this.#address),
      target: this.#options.healthPath,
      fields: new Fields(0),
      bodyLength: length.none,
      expectsContinue: false,
      acceptsTrailers: false,
      upgrade: "",
    };
    upstream.sendHead(head, probeFields, nothingShared);
    upstream.endBody(undefined);
  }

  connectFailed(reason: string): void {
    this.#end({ kind: "fail", reason });
  }

  responseInterim(): void {
    // Says nothing about the answer to come.
  }

  responseHead(head: ResponseHead): void {
    this.#status = head.status;
    this.#text = head.fields.entries().flat().join(" ");
  }

  responseBody(bytes: Buffer, start: number, end: number): void {
    this.#text += bytes.toString("latin1", start, Math.min(end, start + bodyBytesMax));
    if (this.#text.length < bodyBytesMax) return;
    this.#upstream!.abort();
    this.responseEnd();
  }

  responseEnd(): void {
    this.#end(this.#verdict());
  }

  upstreamFailed(error: ScaleError): void {
    this.#end({ kind: "fail", reason: error.message });
  }

  upstreamDrained(): void {
    // The head is all that is sent.
  }

  #verdict(): CheckResult {
    if (this.#options.healthStatus.some(({ from, to }) => from <= this.#status && this.#status <= to))
      return { kind: "pass", begunAt: this.#begunAt };
    if (this.#status === 503 && this.#text.includes("draining")) return { kind: "draining", reason: "it says so" };
    return { kind: "fail", reason: `status ${this.#status}` };
  }

  #expire(): void {
    this.#upstream!.abort();
    this.#end({ kind: "fail", reason: `no answer within ${this.#options.healthTimeout} ms` });
  }

  #end(result: CheckResult): void {
    clearTimeout(this.#timer);
    this.#done(result);
  }
}
