/** Times and numbers as the page writes them. Pure. */

/** 3s, 4m, 2h, 5d: one unit is enough to see what is wrong. */
export function span(milliseconds: number): string {
  const seconds = Math.abs(milliseconds) / 1_000;
  if (seconds < 60) return `${Math.round(seconds)}s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
}

export function relative(time: string, now: number): string {
  const distance = Date.parse(time) - now;
  return distance > 500 ? `in ${span(distance)}` : `${span(distance)} ago`;
}

/** A rate per second, as short as it is useful. */
export function perSecond(rate: number): string {
  if (rate === 0) return "0/s";
  if (rate < 0.1) return "<0.1/s";
  return rate < 10 ? `${rate.toFixed(1)}/s` : `${Math.round(rate).toLocaleString("en")}/s`;
}
