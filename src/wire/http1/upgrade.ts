/**
 * What the Upgrade field says (RFC 9110 §7.8): protocols to switch to, in requests, and the one that was switched to, in 101. Comes with few
 * messages: nothing here needs to be fast.
 */

/** protocol-name [ "/" protocol-version ]: two tokens. */
const protocol = /^[\w!#$%&'*+.^`|~-]+(\/[\w!#$%&'*+.^`|~-]+)?$/;

/**
 * The protocols of a request that may be asked for, "" for none. HTTP/2 by this way is obsolete (RFC 9113 §3.1), and was a way past
 * proxies: requests inside a tunnel are nobody's to check.
 */
export function protocolsOf(field: string): string {
  const asked = listOf(field).filter((name) => protocol.test(name) && !/^(h2c?|http)(\/|$)/i.test(name));
  return asked.join(", ");
}

/** Whether 101 switches to what was asked for, and to nothing else. */
export function isAnswerTo(asked: string, field: string): boolean {
  return field !== "" && listOf(asked.toLowerCase()).includes(field.toLowerCase());
}

function listOf(field: string): string[] {
  return field
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
}
