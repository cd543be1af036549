// CPU time of a small proxied request: the smallest head there is and a browser's, over few, some and many connections.

import type { Case } from "./compare.ts";
import { load } from "./wrk.ts";

/** 650 bytes with the request line and Host. */
const browserHead: readonly string[] = [
  "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
  "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8",
  "Accept-Language: en-US,en;q=0.9,de;q=0.7",
  "Accept-Encoding: gzip, deflate, br, zstd",
  "Cookie: sid=8f1d0c5a7e2b49d38f1d0c5a7e2b49d38f1d0c5a7e2b49d3; theme=dark; consent=yes",
  "Sec-Fetch-Dest: document",
  "Sec-Fetch-Mode: navigate",
  "Sec-Fetch-Site: same-origin",
  "Upgrade-Insecure-Requests: 1",
];

export const smallRequests: readonly Case[] = [16, 64, 256].flatMap((connections) => [
  requestCase(`${connections} connections, 40-byte head`, connections, []),
  requestCase(`${connections} connections, 650-byte head`, connections, browserHead),
]);

function requestCase(name: string, connections: number, fields: readonly string[]): Case {
  return {
    name,
    async take(proxy, seconds) {
      const outcome = await load(proxy, { path: "/", connections, seconds, fields });
      return { value: (outcome.cpuSeconds / outcome.requests) * 1e6, perSecond: outcome.perSecond };
    },
  };
}
