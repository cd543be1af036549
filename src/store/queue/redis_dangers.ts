/**
 * How a Redis loses jobs by the way it is set up. Read from INFO, which managed services answer where they refuse CONFIG. Pure.
 */

/** One sentence for each danger, with what to do; none: it is set up for a queue. */
export function dangersOf(info: string): readonly string[] {
  const policy = fieldOf(info, "maxmemory_policy");
  const dangers: string[] = [];
  if (policy !== undefined && policy !== "noeviction") {
    const now = fieldOf(info, "maxmemory") === "0" ? ", as soon as maxmemory is set" : "";
    dangers.push(
      `Redis deletes jobs when its memory is full${now}: maxmemory-policy is ${policy}, a queue needs noeviction ` +
        `(CONFIG SET maxmemory-policy noeviction; a cache that wants eviction is another Redis: --cache-url)`,
    );
  }
  if (fieldOf(info, "aof_enabled") === "0") {
    dangers.push(
      "Redis forgets the jobs since its last snapshot when it ends: it has no append-only file (CONFIG SET appendonly yes; " +
        "with appendfsync everysec at most the last second is lost)",
    );
  }
  return dangers;
}

/** The value of a line NAME:VALUE of INFO. */
export function fieldOf(info: string, name: string): string | undefined {
  return new RegExp(`^${name}:(.*?)\\r?$`, "m").exec(info)?.[1];
}
