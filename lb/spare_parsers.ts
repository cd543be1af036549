/**
 * Parsers nobody uses. A connection holds one from a request's first byte to its response's last, so that an idle connection, of which
 * there are many, costs next to nothing.
 */
import type { HeadLimits } from "../src/wire/http1/head_parser.ts";
import { RequestParser } from "../src/wire/http1/request_parser.ts";

const spareMax = 1024;

export class SpareParsers {
  readonly #limits: HeadLimits;
  readonly #spare: RequestParser[] = [];

  constructor(limits: HeadLimits) {
    this.#limits = limits;
  }

  take(): RequestParser {
    return this.#spare.pop() ?? new RequestParser(this.#limits);
  }

  /** Takes one back; who gives it must not look at it again. */
  give(parser: RequestParser): void {
    parser.reset();
    if (this.#spare.length < spareMax) this.#spare.push(parser);
  }
}
