/**
 * What a plan of PostgreSQL says is wrong. Pure: the JSON of EXPLAIN in, findings out. Asking for plans is ../doctor.ts.
 */

/** The part of EXPLAIN (FORMAT JSON) that is looked at. */
export interface PlanNode {
  readonly "Node Type": string;
  readonly "Relation Name"?: string;
  readonly Filter?: string;
  readonly "Sort Key"?: readonly string[];
  readonly Plans?: readonly PlanNode[];
}

/** A table that is read from end to end. */
export interface Scan {
  readonly table: string;
  /** Columns that an index would be looked up by, equality first. Empty: no index serves, every row is wanted. */
  readonly columns: readonly string[];
}

/** Sequential scans in a plan of tables with at least `rowsMin` rows, outermost first; smaller ones are cheap to scan. */
export function scansOf(plan: PlanNode, rowsOf: (table: string) => number, rowsMin: number): readonly Scan[] {
  return visit(plan, []).flatMap(({ node, above }) => {
    const table = node["Relation Name"];
    if (node["Node Type"] !== "Seq Scan" || table === undefined || rowsOf(table) < rowsMin) return [];
    return [{ table, columns: columnsFor(node, above) }];
  });
}

export function indexFor({ table, columns }: Scan): string | undefined {
  return columns.length === 0 ? undefined : `create index concurrently on ${table} (${columns.join(", ")})`;
}

interface Visited {
  readonly node: PlanNode;
  readonly above: readonly PlanNode[];
}

function visit(node: PlanNode, above: readonly PlanNode[]): readonly Visited[] {
  return [{ node, above }, ...(node.Plans ?? []).flatMap((inner) => visit(inner, [...above, node]))];
}

/** What the rows are filtered by; else what they are sorted by, where only the first of them are wanted. */
function columnsFor(node: PlanNode, above: readonly PlanNode[]): readonly string[] {
  const filtered = comparedIn(node.Filter ?? "");
  if (filtered.length > 0) return filtered;
  const isLimited = above.some((outer) => outer["Node Type"] === "Limit");
  const keys = above.findLast((outer) => outer["Sort Key"] !== undefined)?.["Sort Key"] ?? [];
  const sorted = keys.map((key) => /^(?:\w+\.)?([a-z_]\w*)( DESC)?$/.exec(key));
  if (!isLimited || sorted.some((match) => match === null)) return [];
  return sorted.map((match) => `${match![1]}${match![2]?.toLowerCase() ?? ""}`);
}

const comparison = /\(?(?:\w+\.)?([a-z_]\w*)(?:\)::[a-z ]+)? (=|<|>|<=|>=) /g;

/** Columns compared in a filter: those with = first, as an index wants them, then one of the others. */
function comparedIn(filter: string): readonly string[] {
  // One index serves one side of an OR only.
  if (/ OR /.test(filter)) return [];
  const found = Array.from(filter.matchAll(comparison), ([, column, operator]) => ({ column: column!, operator }));
  const equal = found.filter(({ operator }) => operator === "=").map(({ column }) => column);
  const ranged = found.filter(({ operator }) => operator !== "=").map(({ column }) => column);
  return [...new Set([...equal, ...ranged.slice(0, 1)])];
}
