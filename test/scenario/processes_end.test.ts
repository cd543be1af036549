/** Several processes of role app or worker end as one does: what is under way is finished. And what each of them writes arrives whole. */
import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { openQueue } from "../../src/store/queue/open.ts";
import { countingBackend, postClient } from "../harness/counting.ts";
import { eventually } from "../harness/eventually.ts";
import { childrenOf, connectionsOf } from "../harness/proc.ts";
import { startScale } from "../harness/process.ts";
import { freshTrace, readTrace } from "../harness/trace.ts";

setDefaultTimeout(60_000);

const directory = mkdtempSync(join(tmpdir(), "scale-processes-end-"));
afterAll(() => rmSync(directory, { recursive: true }));

function entryOf(name: string, text: string): string {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
}

/** So many that chance gives each process some: the kernel spreads them by their ports. */
const clientsMax = 30;

test("SIGTERM: no process is ready any more, each finishes its requests, and then all have ended with 0", async () => {
  using held = countingBackend();
  const entry = entryOf(
    "held.ts",
    `export default { fetch: async (request) => {
       const body = await request.text();
       return new Response(await (await fetch("http://${held.address}/held", { method: "POST", body })).text());
     } };`,
  );
  await using app = await startScale(["--role=app", entry, "--processes=2", "--drain-delay=0"]);
  const children = childrenOf(app.pid);
  const clients = await Promise.all(Array.from({ length: clientsMax }, () => postClient(app.url)));
  const answered = Promise.all(clients.map((client, index) => client.post(`request-${index}`, "/")));
  await eventually(() => held.held === clientsMax);
  const port = Number(new URL(app.url).port);
  const served = children.map((pid) => connectionsOf(pid).filter(({ localPort }) => localPort === port).length);
  expect(served.every((connections) => connections > 0)).toBe(true);

  app.kill("SIGTERM");
  await eventually(async () => {
    const response = await fetch(`${app.adminUrl}/readyz`, { keepalive: false });
    return response.status === 503 && ((await response.json()) as { state: string }).state === "draining";
  });
  // A terminal that is closed says so late, to a process that is on its way out already.
  app.kill("SIGHUP");
  held.release();
  await answered;
  for (const client of clients) client.end();
  expect(await app.stop()).toBe(0);
  expect([...held.arrived.values()]).toEqual(clients.map(() => 1));
});

test("SIGTERM: each worker process finishes its jobs, none of which runs again", async () => {
  const file = freshTrace();
  const url = `file:${join(directory, "queue.sqlite")}`;
  const queue = openQueue(url, { namespace: "end" });
  const fixture = `${import.meta.dir}/fixtures/jobs.ts`;
  const flags = ["--processes=2", "--concurrency=2", "--prefetch=0", `--redis-url=${url}`, "--namespace=end"];
  await using worker = await startScale(["--role=worker", fixture, ...flags]);
  const payload = JSON.stringify({ file, ms: 5_000 });
  const jobs = Array.from({ length: 4 }, () => ({ name: "work", payload, delayMs: 0 }));
  const ids = await queue.enqueue("default", jobs);
  await eventually(() => readTrace(file, "begin").length === jobs.length);
  expect(new Set(readTrace(file, "begin").map(({ pid }) => pid))).toEqual(new Set(childrenOf(worker.pid)));
  expect(await worker.stop()).toBe(0);
  const ended = readTrace(file, "end");
  expect(ended.map(({ id }) => id).toSorted()).toEqual([...ids].toSorted());
  expect(ended.map(({ attempt }) => attempt)).toEqual(jobs.map(() => 1));
  expect((await queue.stats("default")).running).toBe(0);
  await queue.close();
});

test("log lines longer than a pipe takes at once arrive whole, however many processes write them", async () => {
  const lines = 40;
  const letters = 9_000;
  const entry = entryOf(
    "talks.ts",
    `import { app, log } from "scale";
     export default app({ fetch: () => {
       for (let n = 0; n < ${lines}; n++) log.info({ n }, "x".repeat(${letters}));
       return new Response("said");
     } });`,
  );
  await using app = await startScale(["--role=app", entry, "--processes=2", "--drain-delay=0"]);
  const clients = await Promise.all(Array.from({ length: clientsMax }, () => postClient(app.url)));
  // Its answer is not the id, which is no matter here.
  await Promise.allSettled(clients.map((client, index) => client.post(`${index}`, "/")));
  for (const client of clients) client.end();
  const said = () => app.log().filter((line) => line.includes('"n":'));
  await eventually(() => said().length === clientsMax * lines);
  const instances = new Set<string>();
  for (const line of said()) {
    const { instance, message } = JSON.parse(line) as { instance: string; message: string };
    instances.add(instance);
    expect(message.length).toBe(letters);
  }
  expect(instances.size).toBe(2);
});
