/** The kinds of values that say where data is kept: the URLs of PostgreSQL and of Redis in its forms. What they lead to is store/. */
import { bouncerParameter } from "../std/bouncer_url.ts";
import { urlsOf } from "../std/host_list.ts";
import { isClusterUrl, isSentinelUrl, parseClusterUrl, parseSentinelUrl } from "../std/redis_url.ts";
import { ExpectedError } from "../std/units.ts";
import type { Kind } from "./kinds.ts";

/** A URL of one of the given schemes, kept as text: the driver that opens it reads its own parameters. */
function storeUrl(...schemes: readonly string[]): Kind<string> {
  const form = schemes.map((scheme) => (scheme === "file:" ? "file:PATH" : `${scheme}//HOST…`)).join(", ");
  return {
    form: "URL",
    parse: (value) => {
      const isWhole = URL.canParse(value) && /^(\w+:\/\/|file:)/.test(value);
      if (isWhole && schemes.includes(new URL(value).protocol)) return value;
      throw new ExpectedError(`a URL such as ${form}`);
    },
  };
}

/** A driver finds out when it connects. */
function assertDecodable(url: string): void {
  const { username, password, pathname } = new URL(url);
  try {
    decodeURIComponent(username + password + pathname);
  } catch {
    throw new ExpectedError("a % in the user, the password or the database that is written %25");
  }
}

/** postgres:// with one host. */
export const replicaUrl: Kind<string> = {
  form: "URL",
  parse: (value) => {
    const url = storeUrl("postgres:", "postgresql:").parse(value);
    assertDecodable(url);
    if (["true", "false"].includes(bouncerParameter(url))) return url;
    throw new ExpectedError("pgbouncer=true for a PgBouncer in transaction mode, or no such parameter");
  },
};

/** postgres://, with one host or several, of which one is the primary. */
export const postgresUrl: Kind<string> = {
  form: "URL",
  parse: (value) => {
    for (const url of urlsOf(value)) replicaUrl.parse(url);
    return value;
  },
};

/** Where cache, sessions and queue are kept: one Redis, one that Sentinels watch, a Cluster, or a file. */
export const redisUrl: Kind<string> = {
  form: "URL",
  parse: (value) => {
    if (isSentinelUrl(value)) parseSentinelUrl(value);
    else if (isClusterUrl(value)) parseClusterUrl(value);
    else if (!value.startsWith("file:"))
      assertDecodable(storeUrl("redis:", "rediss:", "redis+sentinel:", "redis+cluster:", "file:").parse(value));
    return value;
  },
};
