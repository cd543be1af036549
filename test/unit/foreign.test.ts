/** Which requests a browser says another origin's page has made. */
import { expect, test } from "bun:test";

import { isForeign } from "../../src/std/foreign.ts";

const own = "https://shop.example";
const cases: readonly (readonly [method: string, headers: { readonly [name: string]: string }, foreign: boolean])[] = [
  ["POST", {}, false],
  ["POST", { "sec-fetch-site": "same-origin" }, false],
  ["POST", { "sec-fetch-site": "none" }, false],
  ["POST", { "sec-fetch-site": "same-site" }, true],
  ["POST", { "sec-fetch-site": "cross-site" }, true],
  ["POST", { "sec-fetch-site": "" }, true],
  // What a browser says of the site counts; the origin is for those that say nothing of it.
  ["POST", { "sec-fetch-site": "same-origin", origin: "https://evil.example" }, false],
  ["POST", { "sec-fetch-site": "cross-site", origin: own }, true],
  ["POST", { origin: own }, false],
  ["POST", { origin: "http://shop.example" }, true],
  ["POST", { origin: "https://blog.shop.example" }, true],
  ["POST", { origin: "null" }, true],
  ["PUT", { origin: "https://evil.example" }, true],
  ["PATCH", { origin: "https://evil.example" }, true],
  ["DELETE", { origin: "https://evil.example" }, true],
  ["GET", { origin: "https://evil.example", "sec-fetch-site": "cross-site" }, false],
  ["HEAD", { "sec-fetch-site": "cross-site" }, false],
  ["OPTIONS", { "sec-fetch-site": "cross-site" }, false],
];

test.each(cases)("%s with %j: %p", (method, headers, foreign) => {
  expect(isForeign(new Request(`${own}/`, { method, headers }), () => own)).toBe(foreign);
});
