/** Which index a plan asks for. */
import { describe, expect, test } from "bun:test";

import { adviceFor, type PlanNode, scansOf } from "../../src/cli/doctor/plan.ts";

const scan = (filter?: string): PlanNode => ({
  "Node Type": "Seq Scan",
  "Relation Name": "posts",
  ...(filter === undefined ? {} : { Filter: filter }),
});
const none = "ask for fewer rows; no index serves this as it is written";
const found = (plan: PlanNode, indexes: readonly (readonly string[])[] = []) =>
  scansOf(plan, () => 1_000_000, 10_000).map((one) => adviceFor(one, "posts", indexes));

describe("a scan of a large table", () => {
  test.each([
    ["(author_id = $1)", "create index concurrently on posts (author_id)"],
    ["((author_id = $1) AND (created_at > $2))", "create index concurrently on posts (author_id, created_at)"],
    ["((created_at > $2) AND (author_id = $1))", "create index concurrently on posts (author_id, created_at)"],
    ["((created_at > $1) AND (views > $2))", "create index concurrently on posts (created_at)"],
    ["((email)::text = $1)", "create index concurrently on posts (email)"],
    ["(posts.author_id = $1)", "create index concurrently on posts (author_id)"],
    ["((author_id = $1) OR (views = $2))", none],
    ["(lower(title) = $1)", "create index concurrently on posts (lower(title))"],
    ["(lower((email)::text) = $1)", "create index concurrently on posts (lower((email)::text))"],
    ['("authorId" = $1)', 'create index concurrently on posts ("authorId")'],
    ['(posts."order" = $1)', 'create index concurrently on posts ("order")'],
    ["(date_trunc('day'::text, created_at) = $1)", none],
  ])("with the filter %s", (filter, index) => {
    expect(found(scan(filter))).toEqual([index]);
  });

  test("whose first rows in an order are wanted is served by that order, and by nothing where all are", () => {
    const sorted = (keys: readonly string[], limited: boolean): PlanNode => {
      const sort = { "Node Type": "Sort", "Sort Key": keys, Plans: [scan()] };
      return limited ? { "Node Type": "Limit", Plans: [sort] } : sort;
    };
    expect(found(sorted(["views DESC", "id"], true))).toEqual(["create index concurrently on posts (views desc, id)"]);
    expect(found(sorted(["(lower(title))"], true))).toEqual([none]);
    expect(found(sorted(["views DESC"], false))).toEqual([none]);
  });

  test("that an index is there for already is not to be given another", () => {
    const filtered = scan("((author_id = $1) AND (created_at > $2))");
    const there = expect.stringContaining("an index on posts (author_id, created_at) is there");
    expect(found(filtered, [["id"], ["author_id", "created_at", "id"]])).toEqual([there]);
    expect(found(filtered, [["author_id"], ["id", "author_id", "created_at"]])).toEqual([
      "create index concurrently on posts (author_id, created_at)",
    ]);
  });

  test("is found below joins; one of a small table is none", () => {
    const join: PlanNode = {
      "Node Type": "Hash Join",
      Plans: [scan("(author_id = $1)"), { "Node Type": "Index Scan" }],
    };
    expect(found(join)).toHaveLength(1);
    expect(scansOf(join, () => 9_999, 10_000)).toEqual([]);
  });
});
