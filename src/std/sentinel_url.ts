/**
 * redis+sentinel://USER:PASSWORD@A:26379,B,C/NAME: three or more Sentinels that know which Redis is the primary called NAME. rediss+sentinel
 * speaks TLS to all of them. USER and PASSWORD are the primary's; the Sentinels' own are ?sentinel_username= and ?sentinel_password=.
 * Pure; connecting is store/redis/connection.ts.
 */
import { urlsOf } from "./host_list.ts";
import { ExpectedError } from "./units.ts";

export interface SentinelAddress {
  readonly sentinels: readonly { readonly host: string; readonly port: number }[];
  /** What the Sentinels call the primary. */
  readonly name: string;
  readonly tls: boolean;
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly sentinelUsername: string | undefined;
  readonly sentinelPassword: string | undefined;
}

const sentinelPort = 26_379;
const sentinelsMax = 16;
const parameters: ReadonlySet<string> = new Set(["sentinel_username", "sentinel_password"]);

const sentinelForm = "redis+sentinel://A:26379,B:26379,C:26379/NAME";

export function isSentinelUrl(url: string): boolean {
  return /^rediss?\+sentinel:/.test(url);
}

/** Throws ExpectedError. */
export function parseSentinelUrl(text: string): SentinelAddress {
  const urls = urlsOf(text).map(urlOf);
  const [first] = urls;
  if (first === undefined || urls.length > sentinelsMax) throw new ExpectedError(`at most ${sentinelsMax} hosts`);
  const [, name] = /^\/([A-Za-z0-9._-]+)$/.exec(first.pathname) ?? [];
  if (name === undefined) throw new ExpectedError(`the primary's name after the hosts, as in ${sentinelForm}`);
  for (const parameter of first.searchParams.keys()) {
    if (!parameters.has(parameter)) throw new ExpectedError(`no parameters but ${[...parameters].join(" and ")}`);
  }
  return {
    sentinels: urls.map(({ hostname, port }) => ({ host: bare(hostname), port: Number(port || sentinelPort) })),
    name,
    tls: first.protocol === "rediss+sentinel:",
    username: decoded(first.username),
    password: decoded(first.password),
    sentinelUsername: first.searchParams.get("sentinel_username") ?? undefined,
    sentinelPassword: first.searchParams.get("sentinel_password") ?? undefined,
  };
}

function urlOf(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || url.hostname === "" || !isSentinelUrl(text))
    throw new ExpectedError(`a URL such as ${sentinelForm}`);
  return url;
}

function bare(hostname: string): string {
  return hostname.replace(/^\[(.*)\]$/, "$1");
}

function decoded(part: string): string | undefined {
  if (part === "") return undefined;
  try {
    return decodeURIComponent(part);
  } catch {
    throw new ExpectedError("a % in the user or the password that is written %25");
  }
}
