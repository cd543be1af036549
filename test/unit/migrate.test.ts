import { expect, test } from "bun:test";

import { type MigrationFile, pendingOf } from "../../src/runtime/migrate.ts";

const file = (name: string): MigrationFile => ({ name, text: name });
const record = (name: string) => ({ name, checksum: new Bun.CryptoHasher("sha256").update(name).digest("hex") });

test("what is pending comes in the order of its numbers, not of its letters", () => {
  const files = ["1000_c.sql", "002_b.sql", "001_a.sql"].map(file);
  expect(pendingOf(files, [record("001_a.sql")]).map(({ name }) => name)).toEqual(["002_b.sql", "1000_c.sql"]);
});

test.each([
  [["1_short.sql"], 'named "1_short.sql"'],
  [["001 space.sql"], "expected NNN_what_it_does.sql"],
  [["001_a.sql", "001_b.sql"], "have the same number"],
  [["0002_b.sql", "002_a.sql"], "have the same number"],
])("%j is refused", (names, message) => {
  expect(() => pendingOf(names.map(file), [])).toThrow(message);
});

test("a file that should have come before an applied one is refused", () => {
  expect(() => pendingOf(["001_a.sql", "002_b.sql"].map(file), [record("002_b.sql")])).toThrow(
    "001_a.sql is not applied, but 002_b.sql",
  );
});
