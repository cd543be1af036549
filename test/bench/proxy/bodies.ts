// CPU time for each MB of a large body, down and up. What the backend does with it (body.ts' path and size) is the smallest there is.

import { join } from "node:path";

import { bodyBytes, bodyPath } from "./body.ts";
import type { Case } from "./compare.ts";
import { load } from "./wrk.ts";

const connections = 16;

/** `directory` is where wrk's script for the uploads goes. */
export async function largeBodies(directory: string): Promise<readonly Case[]> {
  const script = join(directory, "upload.lua");
  await Bun.write(script, `wrk.method = "POST"\nwrk.body = string.rep("x", ${bodyBytes})\n`);
  return [bodyCase("1 MiB down"), bodyCase("1 MiB up", script)];
}

function bodyCase(name: string, script?: string): Case {
  return {
    name,
    async take(proxy, seconds) {
      const outcome = await load(proxy, { path: bodyPath, connections, seconds, ...(script && { script }) });
      const megabytes = (outcome.requests * bodyBytes) / 1e6;
      return { value: (outcome.cpuSeconds / megabytes) * 1e3, perSecond: (outcome.perSecond * bodyBytes) / 1e6 };
    },
  };
}
