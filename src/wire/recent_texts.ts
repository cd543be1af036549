/**
 * Texts that come again and again, as few request targets make most of the traffic: taken from the bytes once, and found again by
 * comparing, which costs half of making a string and leaves no garbage. Bounded by its places: a text takes the one it falls on. Hot.
 */
import { isText } from "./grammar.ts";

/** A power of two. */
const places = 64;
const charactersMax = 128;

export class RecentTexts {
  readonly #texts: string[] = Array.from({ length: places }, () => "");

  /** The text of [start, end), which is not empty. */
  at(bytes: Buffer, start: number, end: number): string {
    if (end - start > charactersMax) return bytes.toString("latin1", start, end);
    const place = ((end - start) * 7 + bytes[end - 1]! + bytes[(start + end) >> 1]!) & (places - 1);
    const text = this.#texts[place]!;
    if (isText(bytes, start, end, text)) return text;
    return (this.#texts[place] = bytes.toString("latin1", start, end));
  }
}
