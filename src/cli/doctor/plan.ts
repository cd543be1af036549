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

/** What to do about it. `name` is the table's, quoted; `indexes` are those it has, as the columns of each. */
export function adviceFor({ columns }: Scan, name: string, indexes: readonly (readonly string[])[]): string {
  if (columns.length === 0) return "ask for fewer rows; no index serves this as it is written";
  const wanted = new Set(columns.map((column) => column.replace(/ desc$/, "")));
  const isThere = indexes.some((index) => wanted.isSubsetOf(new Set(index.slice(0, wanted.size))));
  const place = `${name} (${columns.join(", ")})`;
  if (isThere)
    return `ask for fewer rows: an index on ${place} is there, and PostgreSQL expects more than it is worth using for`;
  return `create index concurrently on ${place}`;
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

/** A column, quoted where its name must be; or one in lower or upper, which an index may be of. Then what it is compared by. */
const comparison =
  /\(?(?:\w+\.)?((?:lower|upper)\((?:\([\w".]+\)::[a-z ]+|[\w".]+)\)|[a-z_]\w*|"[^"]+")(?:\)::[a-z ]+)? (=|<|>|<=|>=) /g;

/** Columns compared in a filter: those with = first, as an index wants them, then one of the others. */
function comparedIn(filter: string): readonly string[] {
  // One index serves one side of an OR only.
  if (/ OR /.test(filter)) return [];
  const found = Array.from(filter.matchAll(comparison), ([, column, operator]) => ({ column: column!, operator }));
  const equal = found.filter(({ operator }) => operator === "=").map(({ column }) => column);
  const ranged = found.filter(({ operator }) => operator !== "=").map(({ column }) => column);
  return [...new Set([...equal, ...ranged.slice(0, 1)])];
}
