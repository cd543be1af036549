/**
 * A position in PostgreSQL's write-ahead log: what read-your-writes is decided by. Pure. Where positions come from is
 * primary_position.ts and replica_state.ts; who must see which is runtime/consistency.ts.
 */

export interface Position {
  /** Counts promotions: positions of different timelines cannot be compared. */
  readonly timeline: number;
  /** Bytes from the beginning of the log. */
  readonly lsn: bigint;
}

const lsnForm = /^([0-9A-F]{1,8})\/([0-9A-F]{1,8})$/i;

/** "16/B374D848", as PostgreSQL writes a pg_lsn; undefined for anything else. */
export function parseLsn(text: string): bigint | undefined {
  const match = lsnForm.exec(text);
  return match ? (BigInt(`0x${match[1]}`) << 32n) | BigInt(`0x${match[2]}`) : undefined;
}

export function formatLsn(lsn: bigint): string {
  return `${(lsn >> 32n).toString(16)}/${(lsn & 0xffff_ffffn).toString(16)}`.toUpperCase();
}

/** Whether a server that has replayed up to `replayed` shows everything up to `floor`. */
export function hasPassed(replayed: Position, floor: Position): boolean {
  return replayed.timeline === floor.timeline && replayed.lsn >= floor.lsn;
}

/** The later of two positions. A higher timeline is later: it began where the lower one ended. */
export function later(one: Position, other: Position): Position {
  if (one.timeline !== other.timeline) return one.timeline > other.timeline ? one : other;
  return one.lsn >= other.lsn ? one : other;
}
