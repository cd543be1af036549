/**
 * The servers that one URL names, postgres://USER:PASSWORD@A:5432,B:5432/DATABASE, and which of them to connect to. With several,
 * the primary is the one that accepts writes, and which one that is changes with a failover; all connections follow the first that
 * finds out. Not here: connecting.
 */
import { urlsOf } from "../../std/host_list.ts";

export class Hosts {
  /** One URL for each server. */
  readonly urls: readonly string[];
  #current = 0;

  constructor(url: string) {
    this.urls = urlsOf(url);
  }

  /** Where the next connection goes. */
  get url(): string {
    return this.urls[this.#current]!;
  }

  /** The server of `url` could not be connected to, or is not the primary: the next connection goes to the next one. */
  leave(url: string): void {
    if (this.url === url) this.#current = (this.#current + 1) % this.urls.length;
  }
}
