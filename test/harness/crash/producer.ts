// A process that enqueues as fast as it is answered, until it is killed: after each answer, and not before, the id goes to its file.
// `bun producer.ts URL NAMESPACE FILE memory|replicas`

import { appendFileSync } from "node:fs";

import { openQueue } from "../../../src/store/queue/open.ts";

const [url = "", namespace = "", file = "", durability] = process.argv.slice(2);
const queue = openQueue(url, { namespace, durability: durability === "replicas" ? "replicas" : "memory" });
const pauseMs = 4;

for (let sent = 0; ; sent++) {
  const delay = sent % 5 === 0 ? { delayMs: 200 } : {};
  try {
    const payload = JSON.stringify({ ms: sent % 20 });
    const [id] = await queue.enqueue("default", [{ name: "effect", payload, ...delay }]);
    appendFileSync(file, `${id}\n`);
  } catch {
    // Refused, or not answered: whoever asked knows that it may not be there.
  }
  await Bun.sleep(pauseMs);
}
