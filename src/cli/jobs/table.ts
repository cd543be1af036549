/** Tables and times for a person at a terminal. */
import { formatDuration } from "../../std/units.ts";
import { visible } from "../../std/visible.ts";

const cellCharsMax = 80;

/** Columns as wide as their longest cell; the last one ends where it ends. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, ...rows.map((row) => row.map(cell))];
  const widths = head.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  return lines
    .map((line) =>
      line.map((text, column) => (column === head.length - 1 ? text : text.padEnd(widths[column]!))).join("  "),
    )
    .map((line) => `${line.trimEnd()}\n`)
    .join("");
}

function cell(text: string): string {
  const line = visible(text).replaceAll("\n", " ");
  return line.length > cellCharsMax ? `${line.slice(0, cellCharsMax - 1)}…` : line;
}

/** "3m12s ago", "in 5.0s". */
export function relative(milliseconds: number, now = Date.now()): string {
  const distance = milliseconds - now;
  return distance > 0 ? `in ${formatDuration(distance)}` : `${formatDuration(-distance)} ago`;
}
