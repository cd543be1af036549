import { expect, test } from "bun:test";

import { migrate, type MigrationFile, migrationStatus, pendingOf } from "../../src/runtime/migrate.ts";
import type { Sql } from "../../src/store/sql/sql.ts";

const file = (name: string): MigrationFile => ({ name, text: name });
const record = (name: string) => ({ name, checksum: new Bun.CryptoHasher("sha256").update(name).digest("hex") });

test("what is pending comes in the order of its numbers, not of its letters", () => {
  const files = ["1000_c.sql", "002_b.sql", "001_a.sql"].map(file);
  expect(pendingOf(files, [record("001_a.sql")]).map(({ name }) => name)).toEqual(["002_b.sql", "1000_c.sql"]);
});

test("the state of migrations is told in the same order", async () => {
  const none = { query: () => Promise.resolve([]) } as unknown as Sql;
  const files = ["1000_c.sql", "002_b.sql"].map(file);
  expect((await migrationStatus(none, files)).map(({ name }) => name)).toEqual(["002_b.sql", "1000_c.sql"]);
});

test.each(["commit", "end", "abort"])("a file may not end its own transaction: %s", async (word) => {
  const session = { query: () => Promise.resolve([{ taken: true }]), script: () => Promise.resolve() };
  const sql = {
    ...session,
    query: () => Promise.resolve([]),
    session: (body: (own: unknown) => unknown) => body(session),
  };
  const sly = { name: "001_sly.sql", text: `create table half (n int);\n${word};` };
  expect(migrate(sql as unknown as Sql, [sly])).rejects.toThrow(`001_sly.sql, line 2: "${word}" inside a migration`);
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
