import { afterEach, expect, test } from "bun:test";

import { redact, redactAlso, redactUrls } from "../../src/std/redact.ts";

afterEach(() => redactAlso([]));

test("fields that are secret by their name are masked at any depth, and passwords in URLs", () => {
  const value = {
    user: "ada",
    access_token: "x",
    deep: [{ clientSecret: 1, url: "redis://u:hunter2@h/0" }],
    "set-cookie": 1,
  };
  expect(redact(value)).toEqual({
    user: "ada",
    access_token: "[redacted]",
    deep: [{ clientSecret: "[redacted]", url: "redis://u:•••@h/0" }],
    "set-cookie": "[redacted]",
  });
  expect(redactUrls("see redis://u:hunter2@h and ?token=abc&x=1")).toBe("see redis://u:•••@h and ?token=•••&x=1");
});

test("a long text is looked through in no time, and a password at its end is masked", () => {
  const letters = "x".repeat(500_000);
  const before = performance.now();
  expect(redactUrls(`${letters}redis://u:hunter2@h`)).toBe(`${letters}redis://u:•••@h`);
  // Looking for a scheme's end from every letter anew takes minutes.
  expect(performance.now() - before).toBeLessThan(5_000);
});

test("an operator's own fields are masked by their whole name, whatever its case", () => {
  const value = { iban: "DE00", IBAN: 1, ibanCountry: "DE", nested: { Iban: [1] } };
  expect(redact(value)).toEqual(value);
  redactAlso(["iban", "email"]);
  expect(redact(value)).toEqual({
    iban: "[redacted]",
    IBAN: "[redacted]",
    ibanCountry: "DE",
    nested: { Iban: "[redacted]" },
  });
});
