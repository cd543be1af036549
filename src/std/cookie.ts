/** A Cookie field's pairs (RFC 6265 §5.4). What a cookie means is its owner's. */

/** The value of the first cookie `name` in the field; undefined if it has none. */
export function cookieIn(field: string, name: string): string | undefined {
  for (const pair of field.split(";")) {
    const trimmed = pair.trim();
    if (trimmed.startsWith(`${name}=`)) return trimmed.slice(name.length + 1);
  }
  return undefined;
}
