/** What an operator can do about a Redis that refuses or is not reached, from the text of what it or the driver said. Pure. */

const hints: readonly (readonly [said: RegExp, hint: string])[] = [
  [
    /\b(WRONGPASS|NOAUTH)\b/,
    "check user and password in the URL (--redis-url, --cache-url, --queue-url; %-encoded) against ACL LIST",
  ],
  [/\bNOPERM\b/, "scale doctor --redis says which rights its user lacks, and how to give them"],
  [/\bMISCONF\b/, "it cannot save to its disk: look at its log, and at df"],
  [/\bOOM\b/, "its memory is full: raise maxmemory, or let what is cached be evicted (maxmemory-policy)"],
  [/\bREADONLY\b/, "it is a replica: name the primary, or Sentinels that know it (redis+sentinel://A,B,C/NAME)"],
  [/\bMOVED\b|cluster support disabled/, "redis+cluster:// is for a Cluster, redis:// for a server that is in none"],
  [
    /unknown command '?sentinel/i,
    "the hosts of redis+sentinel:// are Sentinels, usually on port 26379, not the Redis they watch",
  ],
  [/NOQUORUM/, "bring back the Sentinels that are away: most of them must live to replace a primary"],
  [/ENOTFOUND|EAI_AGAIN/, "check the host in the URL, and this machine's DNS"],
  [/ECONNREFUSED/, "check that it runs, and that it listens on that address and port (bind, port)"],
  [/ETIMEDOUT|EHOSTUNREACH|ENETUNREACH/, "check address, firewall and, with rediss://, that it speaks TLS"],
  [
    /certificate|issuer|self.signed|SSL|TLS/i,
    "check its certificate; NODE_EXTRA_CA_CERTS=FILE names an authority of your own",
  ],
  [/ECONNRESET|EPIPE|EPROTO/, "check its log, and whether it wants TLS: rediss:// instead of redis://"],
];

export function hintFor(said: string, otherwise = "check that the server is up and reachable, and its log"): string {
  return hints.find(([pattern]) => pattern.test(said))?.[1] ?? otherwise;
}
