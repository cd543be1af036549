/**
 * URLs of a Redis that is several servers.
 *
 *      redis+sentinel://USER:PASSWORD@A:26379,B,C/NAME   three or more Sentinels that know which Redis is the primary called NAME. USER and
 *                                                        PASSWORD are the primary's; the Sentinels' own are ?sentinel_username= and
 *                                                        ?sentinel_password=
 *      redis+cluster://USER:PASSWORD@A:6379,B,C          some servers of a Cluster, which name the others
 *
 * With rediss instead of redis TLS is spoken to all of them. Pure; connecting is store/redis/connection.ts.
 */
import { urlsOf } from "./host_list.ts";
import { ExpectedError } from "./units.ts";

interface Host {
  readonly host: string;
  readonly port: number;
}

interface Login {
  readonly tls: boolean;
  readonly username: string | undefined;
  readonly password: string | undefined;
}

export interface SentinelAddress extends Login {
  readonly sentinels: readonly Host[];
  /** What the Sentinels call the primary. */
  readonly name: string;
  readonly sentinelUsername: string | undefined;
  readonly sentinelPassword: string | undefined;
}

export interface ClusterAddress {
  /** HOST:PORT of the servers to ask first. */
  readonly seeds: readonly string[];
  /** The URL of one of the Cluster's servers, which is reached as the others are. */
  readonly urlOf: (address: string) => string;
}

const sentinelPort = 26_379;
const clusterPort = 6_379;
const hostsMax = 16;
const sentinelParameters: ReadonlySet<string> = new Set(["sentinel_username", "sentinel_password"]);

const sentinelForm = "redis+sentinel://A:26379,B:26379,C:26379/NAME";
const clusterForm = "redis+cluster://A:6379,B:6379,C:6379";

export function isSentinelUrl(url: string): boolean {
  return /^rediss?\+sentinel:/.test(url);
}

export function isClusterUrl(url: string): boolean {
  return /^rediss?\+cluster:/.test(url);
}

/** Whether it is a URL of Redis in any of its forms. */
export function isRedisUrl(url: string): boolean {
  return /^rediss?(\+sentinel|\+cluster)?:\/\//.test(url);
}

/** Throws ExpectedError. */
export function parseSentinelUrl(text: string): SentinelAddress {
  const urls = hostsOf(text, isSentinelUrl, sentinelForm);
  const [first] = urls;
  const [, name] = /^\/([A-Za-z0-9._-]+)$/.exec(first.pathname) ?? [];
  if (name === undefined) throw new ExpectedError(`the primary's name after the hosts, as in ${sentinelForm}`);
  for (const parameter of first.searchParams.keys()) {
    if (!sentinelParameters.has(parameter))
      throw new ExpectedError(`no parameters but ${[...sentinelParameters].join(" and ")}`);
  }
  return {
    sentinels: urls.map((url) => hostOf(url, sentinelPort)),
    name,
    ...loginOf(first),
    sentinelUsername: first.searchParams.get("sentinel_username") ?? undefined,
    sentinelPassword: first.searchParams.get("sentinel_password") ?? undefined,
  };
}

/** Throws ExpectedError. */
export function parseClusterUrl(text: string): ClusterAddress {
  const urls = hostsOf(text, isClusterUrl, clusterForm);
  const [first] = urls;
  if (first.pathname.length > 1 || first.search !== "" || first.hash !== "")
    throw new ExpectedError(`nothing after the hosts, as in ${clusterForm}: a Cluster has one database`);
  const { tls, username = "", password } = loginOf(first);
  const secret = password === undefined ? "" : `:${encodeURIComponent(password)}`;
  const login = username + secret === "" ? "" : `${encodeURIComponent(username)}${secret}@`;
  return {
    seeds: urls.map((url) => addressOf(hostOf(url, clusterPort))),
    urlOf: (address) => `${tls ? "rediss" : "redis"}://${login}${address}`,
  };
}

/** HOST:PORT as a URL has it: an IPv6 address in brackets. */
export function addressOf({ host, port }: Host): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

function hostsOf(text: string, is: (url: string) => boolean, form: string): readonly [URL, ...URL[]] {
  const [first, ...more] = urlsOf(text).map((one) => {
    const url = URL.canParse(one) ? new URL(one) : undefined;
    if (url === undefined || url.hostname === "" || !is(one)) throw new ExpectedError(`a URL such as ${form}`);
    return url;
  });
  if (first === undefined || more.length >= hostsMax) throw new ExpectedError(`at most ${hostsMax} hosts`);
  return [first, ...more];
}

function hostOf({ hostname, port }: URL, portDefault: number): Host {
  return { host: hostname.replace(/^\[(.*)\]$/, "$1"), port: Number(port || portDefault) };
}

function loginOf({ protocol, username, password }: URL): Login {
  return { tls: protocol.startsWith("rediss"), username: decoded(username), password: decoded(password) };
}

function decoded(part: string): string | undefined {
  if (part === "") return undefined;
  try {
    return decodeURIComponent(part);
  } catch {
    throw new ExpectedError("a % in the user or the password that is written %25");
  }
}
