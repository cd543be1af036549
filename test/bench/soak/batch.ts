// What one request of the soak left behind, by how often each job's handler must have begun its work when all is at rest.

export interface Batch {
  readonly once: readonly string[];
  readonly twice: readonly string[];
  /** Rolled back, or cancelled before it was due. */
  readonly never: readonly string[];
}
