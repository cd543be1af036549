/** What balancing looks at in a target, and who may be picked at all. */

export interface Candidate {
  readonly name: string;
  /** Its share of the requests relative to the others': the weight, less while it starts slowly. Above 0. */
  readonly share: number;
  /** Smooth weighted round robin's running value (round_robin.ts). */
  current: number;
  readonly requestsInFlight: number;
  /** Most requests at a time; Infinity for no limit. */
  readonly requestsMax: number;
}

/** Whether a request that was tried on `tried` may go to `candidate`. Hot: `tried` is empty nearly always. */
export function isOpen(candidate: Candidate, tried: readonly Candidate[]): boolean {
  return candidate.requestsInFlight < candidate.requestsMax && (tried.length === 0 || !tried.includes(candidate));
}

/** How busy a candidate is for its share. */
export function loadOf({ requestsInFlight, share }: Candidate): number {
  return requestsInFlight / share;
}
