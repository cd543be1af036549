/**
 * The trailer section after the last chunk (RFC 9112 §7.1.2), checked like any head's fields. Which of them may be passed on is
 * ../trailers.ts'.
 */
import { HeadParser } from "./head_parser.ts";

export class TrailerParser extends HeadParser {
  /** Makes ready for the next section; lets go of the bytes of the last one. */
  reset(): void {
    this.clear();
  }

  protected override startLine(): void {
    throw this.malformed("a trailer section has no start line");
  }

  protected override knownField(): void {
    // Framing, routing and the rest mean nothing in a trailer (RFC 9110 §6.5.1).
  }

  protected override complete(): void {
    // There is nothing to decide: the fields are all there is.
  }
}
