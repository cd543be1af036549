/** Which index a plan asks for. */
import { describe, expect, test } from "bun:test";

import { indexFor, type PlanNode, scansOf } from "../../src/cli/doctor/plan.ts";

const scan = (filter?: string): PlanNode => ({
  "Node Type": "Seq Scan",
  "Relation Name": "posts",
  ...(filter === undefined ? {} : { Filter: filter }),
});
const found = (plan: PlanNode) => scansOf(plan, () => 1_000_000, 10_000).map(indexFor);

describe("a scan of a large table", () => {
  test.each([
    ["(author_id = $1)", "create index concurrently on posts (author_id)"],
    ["((author_id = $1) AND (created_at > $2))", "create index concurrently on posts (author_id, created_at)"],
    ["((created_at > $2) AND (author_id = $1))", "create index concurrently on posts (author_id, created_at)"],
    ["((created_at > $1) AND (views > $2))", "create index concurrently on posts (created_at)"],
    ["((email)::text = $1)", "create index concurrently on posts (email)"],
    ["(posts.author_id = $1)", "create index concurrently on posts (author_id)"],
    ["((author_id = $1) OR (views = $2))", undefined],
    ["(lower(title) = $1)", undefined],
  ])("with the filter %s", (filter, index) => {
    expect(found(scan(filter))).toEqual([index]);
  });

  test("whose first rows in an order are wanted is served by that order, and by nothing where all are", () => {
    const sorted = (keys: readonly string[], limited: boolean): PlanNode => {
      const sort = { "Node Type": "Sort", "Sort Key": keys, Plans: [scan()] };
      return limited ? { "Node Type": "Limit", Plans: [sort] } : sort;
    };
    expect(found(sorted(["views DESC", "id"], true))).toEqual(["create index concurrently on posts (views desc, id)"]);
    expect(found(sorted(["(lower(title))"], true))).toEqual([undefined]);
    expect(found(sorted(["views DESC"], false))).toEqual([undefined]);
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
