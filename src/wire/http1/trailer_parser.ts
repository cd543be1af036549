/** The trailer section after the last chunk (RFC 9112 §7.1.2): checked like any field, and not passed on. */
import { HeadParser } from "./head_parser.ts";

export class TrailerParser extends HeadParser {
  protected override startLine(): void {
    throw this.malformed("a trailer section has no start line");
  }

  protected override knownField(): void {
    // Framing, routing and the rest mean nothing in a trailer (RFC 9110 §6.5.1), and none is forwarded.
  }

  protected override complete(): void {
    this.clear();
  }
}
