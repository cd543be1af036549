/**
 * The rows of a statement as one JSON array: PostgreSQL makes the text of each row, here they are put one behind the other, as bytes that
 * nobody decodes. An array made by json_agg costs PostgreSQL a third more: it grows in one place, is copied whole, and the memory for it
 * is taken from the system and given back each time. Pure. How a statement is run is connection.ts.
 */

const [open, close, comma] = [0x5b, 0x5d, 0x2c];

/** The statement that answers with a single column of JSON, a row each. `t.*` is the row even where it has a column t. */
export function eachAsJson(text: string): string {
  return `select row_to_json(t.*) from (\n${text.replace(/[\s;]+$/, "")}\n) t`;
}

/** Copied: a cell is a part of what came from the socket at once, and would keep all of it in memory. */
export function jsonArray(rows: readonly (readonly [Uint8Array])[]): Uint8Array<ArrayBuffer> {
  if (rows.length === 0) return Uint8Array.of(open, close);
  let length = 1;
  for (const [cell] of rows) length += cell.length + 1;
  const array = Buffer.allocUnsafe(length);
  let at = 0;
  for (const [cell] of rows) {
    array[at] = at === 0 ? open : comma;
    array.set(cell, at + 1);
    at += cell.length + 1;
  }
  array[at] = close;
  return array;
}
