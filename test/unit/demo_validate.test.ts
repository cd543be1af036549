/** What a stranger may send to the demo. */
import { expect, test } from "bun:test";

import { email } from "../../demo/social/validate.ts";

test("an address is taken in lower case, and what is none is refused", () => {
  expect(email(" Ada@Example.com ")).toEqual({ value: "ada@example.com" });
  for (const given of ["", "a@b", "a b@c.d", "a@b@c.d"]) expect(email(given)).toHaveProperty("wrong");
});

test("an address of a megabyte is refused without being read twice", () => {
  const started = performance.now();
  expect(email(`a@${"a.".repeat(500_000)}@`)).toEqual({ wrong: "has 1000003 characters, at most 254 fit" });
  expect(performance.now() - started).toBeLessThan(200);
});
