/** What a person sees when `scale dev` is up: where it is, what runs, and what to try next. */
import type { Config } from "../../config/options.ts";
import { redactUrls } from "../../std/redact.ts";
import { formatDuration } from "../../std/units.ts";

export interface Up {
  readonly url: string;
  readonly admin: string | undefined;
  /** Since the command was given. */
  readonly milliseconds: number;
}

export function banner(config: Config, { url, admin, milliseconds }: Up): string {
  const database =
    config.databaseUrl === undefined
      ? `embedded PostgreSQL in ${config.dataDir}/postgres`
      : redactUrls(config.databaseUrl);
  const kv = config.redisUrl === undefined ? `SQLite in ${config.dataDir}/store.sqlite` : redactUrls(config.redisUrl);
  return `
  scale is up on ${url}   (${formatDuration(milliseconds)})

  runs      1 balancer → ${config.apps} application servers, 1 worker
  stores    ${database}; cache, sessions and queue: ${kv}
  serves    ${config.argument ?? "the built-in demo"}${config.argument !== undefined && config.watch ? ", reloaded on save" : ""}
  metrics   http://${admin}/metrics
  stop      Ctrl-C
${config.argument === undefined ? tryDemo(url) : ""}
`;
}

function tryDemo(url: string): string {
  return `
  try       open ${url}
            curl ${url}/posts/popular
            kill -9 one of the children: it comes back, and nobody notices
            scale init myapp && scale dev myapp/entry.ts
`;
}
