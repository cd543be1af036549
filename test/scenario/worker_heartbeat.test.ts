/** A worker whose heartbeat's thread dies takes no job until there is one again, and says so. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { openQueue } from "../../src/store/queue/open.ts";
import { eventually } from "../harness/eventually.ts";
import { startScale } from "../harness/process.ts";
import { freshNamespace, sharedRedis } from "../harness/redis.ts";
import { temporaryDirectory } from "../harness/temporary.ts";

setDefaultTimeout(60_000);

const entry = `${import.meta.dir}/fixtures/heartbeat.ts`;
const failed = /the heartbeat's thread failed/;

test("a worker whose heartbeat's thread dies takes no job, is not ready and says why; with the next one it goes on", async () => {
  const { url } = await sharedRedis();
  const namespace = freshNamespace();
  const queue = openQueue(url, { namespace });
  const directory = temporaryDirectory("heartbeat");
  const [hold, file] = [join(directory, "hold"), join(directory, "trace")];
  const enqueue = (name: string, path: string) =>
    queue.enqueue("default", [{ name, payload: JSON.stringify({ file: path }) }]);
  await using worker = await startScale(
    ["--role=worker", entry, `--namespace=${namespace}`, `--redis-url=${url}`, "--job-lease=1s"],
    { expectErrors: [failed, /held down/] },
  );
  const readiness = async () => {
    const response = await fetch(`${worker.adminUrl}/readyz`, { keepalive: false });
    return { status: response.status, body: await response.text() };
  };
  writeFileSync(hold, "");
  await enqueue("kill", hold);
  await eventually(() => worker.log().some((line) => failed.test(line)), { what: "the line about the thread" });
  await eventually(async () => (await queue.stats("default")).running === 0);

  const [id] = await enqueue("work", file);
  const unready = await eventually(async () => {
    const now = await readiness();
    return now.status === 503 && now;
  });
  expect(unready && unready.body).toContain("its heartbeat is not up, so it takes no job");
  expect(await queue.stats("default")).toEqual({ waiting: 1, delayed: 0, running: 0, dead: 0 });
  expect(existsSync(file)).toBe(false);

  rmSync(hold);
  await eventually(() => existsSync(file));
  expect(readFileSync(file, "utf8")).toBe(`${id}\n`);
  await eventually(async () => (await readiness()).status === 200);
  await eventually(async () => (await queue.stats("default")).running === 0);
  await queue.close();
});
