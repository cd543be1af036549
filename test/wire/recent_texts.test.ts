/** A text found again is the one that the bytes say, whoever took its place before. */
import { expect, test } from "bun:test";

import { RecentTexts } from "../../src/wire/recent_texts.ts";

test("each text is what its bytes say, in any order", () => {
  const texts = new RecentTexts();
  const asked = Array.from(
    { length: 2_000 },
    (_, index) => `/${index % 97}/${"x".repeat(index % 150)}/${(index * 7) % 13}`,
  );
  for (const text of asked) {
    const bytes = Buffer.from(`GET ${text} HTTP/1.1`, "latin1");
    expect(texts.at(bytes, 4, 4 + text.length)).toBe(text);
  }
});

test("texts that fall on one place do not become each other", () => {
  const texts = new RecentTexts();
  const pairs = ["/ab/c", "/xb/c", "/ab/c", "/a"];
  for (const text of pairs) expect(texts.at(Buffer.from(text), 0, text.length)).toBe(text);
});
