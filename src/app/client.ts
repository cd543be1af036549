/** Who is asking, over which scheme and under which name, given how far the peer is trusted. Pure but for what it is handed. */
import { clientOfList, type Trust, unmapped } from "../std/forwarded.ts";

/** What a request arrived with. */
export interface Arrival {
  /** Address of the peer of the connection; undefined when it has gone already. */
  readonly peer: string | undefined;
  readonly headers: Headers;
}

/**
 * X-Forwarded-* count only from a trusted peer; X-Forwarded-For is read from the right, to the first address not trusted. Every request
 * is logged with its address; the rest is read for those that ask.
 */
export class Client {
  readonly ip: string;
  readonly #headers: Headers;
  readonly #isBelieved: boolean;
  readonly #publicUrl: URL | undefined;

  constructor({ peer = "", headers }: Arrival, trusted: Trust, publicUrl: URL | undefined) {
    const ip = unmapped(peer);
    this.#headers = headers;
    this.#publicUrl = publicUrl;
    this.#isBelieved = trusted(ip);
    const list = this.#isBelieved ? headers.get("x-forwarded-for") : null;
    this.ip = list === null ? ip : clientOfList(list, ip, trusted);
  }

  /** The client's connection is TLS, as far as the trusted proxies say. */
  get secure(): boolean {
    if (this.#publicUrl !== undefined) return this.#publicUrl.protocol === "https:";
    return this.#isBelieved && this.#headers.get("x-forwarded-proto") === "https";
  }

  get host(): string {
    const forwarded = this.#isBelieved ? this.#headers.get("x-forwarded-host") : null;
    return this.#publicUrl?.host ?? forwarded ?? this.#headers.get("host") ?? "localhost";
  }

  /** It brought X-Forwarded-For, and its peer is nobody whose word counts. */
  get ignored(): boolean {
    return !this.#isBelieved && this.#headers.has("x-forwarded-for");
  }
}
