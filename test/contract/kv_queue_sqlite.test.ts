/** What only the SQLite drivers can be asked: one file opened and used by several processes at once. */
import { Database } from "bun:sqlite";
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";

import { openKv } from "../../src/store/kv/open.ts";
import { openQueue } from "../../src/store/queue/open.ts";
import type { Lease } from "../../src/store/queue/queue.ts";

const directory = mkdtempSync(`${tmpdir()}/scale-sqlite-`);
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const source = `${import.meta.dir}/../../src/store`;

/** What each process does: opens a file that may not exist yet, then counts, enqueues and completes jobs. Prints jobs completed. */
const program = `
import { openKv } from "${source}/kv/open.ts";
import { openQueue } from "${source}/queue/open.ts";
const [url, rounds] = process.argv.slice(-2);
const kv = openKv(url, { namespace: "n" });
const queue = openQueue(url, { namespace: "n" });
const consumer = queue.consumer("q", "worker-" + process.pid);
let completed = 0;
for (let round = 0; round < Number(rounds); round++) {
  await kv.hashWrite("h", { set: { ["p" + process.pid]: String(round) } }, 60_000);
  await kv.takeToken("b", { max: 1_000_000, perMs: 3_600_000 });
  await queue.enqueue("q", [{ name: "j", payload: "{}" }]);
  const leases = await consumer.take(2, 0, new AbortController().signal);
  completed += leases.length - (await consumer.settle(leases.map((lease) => ({ to: "completed", lease })))).length;
}
process.stdout.write(String(completed));
await queue.close();
await kv.close();
`;

test("processes that open a new file at the same time share it: nothing is refused, lost or done twice", async () => {
  const url = `file:${directory}/shared.db`;
  const processes = 5;
  const rounds = 100;
  const children = Array.from({ length: processes }, () =>
    Bun.spawn([process.execPath, "-e", program, url, String(rounds)], { stdout: "pipe", stderr: "pipe" }),
  );
  const outputs = await Promise.all(
    children.map((child) => Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()])),
  );
  expect(outputs.map(([, stderr]) => stderr)).toEqual(outputs.map(() => ""));
  const completed = outputs.reduce((sum, [stdout]) => sum + Number(stdout), 0);

  const queue = openQueue(url, { namespace: "n" });
  const { waiting, running } = await queue.stats("q");
  expect({ running, jobs: completed + waiting }).toEqual({ running: 0, jobs: processes * rounds });
  await queue.close();
  const kv = openKv(url, { namespace: "n" });
  expect(Object.values((await kv.hashGetAll("h"))!)).toEqual(
    Array.from({ length: processes }, () => String(rounds - 1)),
  );
  await kv.close();
});

test("what is stored is nobody else's to read: neither the files nor the directory made for them", async () => {
  const made = `${directory}/made`;
  const kv = openKv(`file:${made}/scale.db`, { namespace: "n" });
  await kv.set("k", "v", 60_000);
  const mode = (path: string) => statSync(path).mode & 0o777;
  expect(mode(made)).toBe(0o700);
  expect(["", "-wal", "-shm"].map((suffix) => mode(`${made}/scale.db${suffix}`))).toEqual([0o600, 0o600, 0o600]);
  await kv.close();
});

/** A process that holds the write lock of a file for a moment: when it has it, and then when it gave it back. */
async function lockedByAnother(path: string): Promise<{ readonly freedAt: Promise<number> }> {
  const program = `import { Database } from "bun:sqlite";
    const database = new Database("${path}", { create: true });
    database.run("BEGIN IMMEDIATE");
    process.stdout.write("locked\\n");
    await Bun.sleep(300);
    process.stdout.write(String(Date.now()));
    database.run("COMMIT");`;
  const holder = Bun.spawn([process.execPath, "-e", program], { stdout: "pipe", stderr: "inherit" });
  const reader = holder.stdout.getReader();
  const read = async () => new TextDecoder().decode((await reader.read()).value);
  expect(await read()).toBe("locked\n");
  return { freedAt: read().then(Number) };
}

test.each(["a file", "a new file, still without its WAL,"])(
  "%s locked by another process is waited for",
  async (which) => {
    const path = `${directory}/${which.replaceAll(" ", "-")}.db`;
    if (which === "a file") await openKv(`file:${path}`, { namespace: "n" }).close();
    const { freedAt } = await lockedByAnother(path);
    const kv = openKv(`file:${path}`, { namespace: "n" });
    expect(await kv.set("k", "v", 60_000)).toBe(true);
    expect(Date.now()).toBeGreaterThanOrEqual(await freedAt);
    await kv.close();
  },
);

test("what leads to a job, and what was said of it, goes with it", async () => {
  const path = `${directory}/notes.db`;
  const queue = openQueue(`file:${path}`, { namespace: "n", deadLettersMax: 1 });
  const consumer = queue.consumer("q", "ours");
  await queue.enqueueOnce(
    "q",
    ["a", "b", "c", "d"].map((id) => ({ id, name: "j", payload: "{}" })),
  );
  const [a, b, c, d] = await consumer.take(4, 1_000, new AbortController().signal);
  await consumer.report([a!, b!, c!, d!].map((lease) => ({ lease, value: "1" })));
  for (const lease of [a!, b!, c!]) await queue.inspector.cancel(lease.id);
  const dies = (lease: typeof a) => ({ to: "discarded", lease: lease!, attempts: 1, reason: "no" }) as const;
  await consumer.settle([{ to: "completed", lease: a! }, dies(b), dies(c), dies(d)]);
  const database = new Database(path, { readonly: true });
  const rows = (table: string) => database.query(`SELECT id FROM ${table}`).values().flat();
  expect(rows("job_entry")).toEqual(["d"]);
  await queue.inspector.discard("q", ["q:d"]);
  for (const table of ["job_entry", "job_progress", "job_cancel", "job"]) expect(rows(table)).toEqual([]);
  database.close();
  await queue.close();
});

test("how many jobs are in each state is counted beside every change, and once in a file that had no count", async () => {
  const path = `${directory}/depth.db`;
  let queue = openQueue(`file:${path}`, { namespace: "n" });
  const look = new Database(path);
  const counted = () => look.query("SELECT state, jobs FROM queue_depth WHERE jobs <> 0 ORDER BY state").values();
  const rows = () => look.query("SELECT state, count(*) FROM job GROUP BY state ORDER BY state").values();
  const consumer = queue.consumer("q", "ours");
  await queue.enqueue(
    "q",
    Array.from({ length: 9 }, (_, index) => ({ name: "j", payload: "{}", delayMs: index < 2 ? 1 : 0 })),
  );
  expect(counted()).toEqual(rows());
  const leases = await consumer.take(6, 1_000, new AbortController().signal);
  const [a, b, c, d, e] = leases as [Lease, Lease, Lease, Lease, Lease, Lease];
  expect(counted()).toEqual(rows());
  await consumer.settle([
    { to: "completed", lease: a },
    { to: "retryable", lease: b, attempts: 1, delayMs: 60_000, reason: "no" },
    { to: "discarded", lease: c, attempts: 1, reason: "no" },
    { to: "available", lease: d, attempts: 0 },
  ]);
  await consumer.handBack([e]);
  await Bun.sleep(2);
  await consumer.promote(10);
  expect(counted()).toEqual(rows());
  expect(rows()).toEqual([
    ["available", 5],
    ["discarded", 1],
    ["retryable", 1],
    ["running", 1],
  ]);
  await queue.inspector.retry("q", [c.id]);
  await queue.inspector.cancel(b.id);
  expect(counted()).toEqual(rows());
  await queue.close();

  // As a version left it that did not count.
  for (const trigger of ["in", "out", "on"]) look.run(`DROP TRIGGER job_counted_${trigger}`);
  look.run("DROP TABLE queue_depth");
  queue = openQueue(`file:${path}`, { namespace: "n" });
  expect(counted()).toEqual(rows());
  expect(await queue.stats("q")).toEqual({ waiting: 6, delayed: 0, running: 1, dead: 0 });
  await queue.close();
  look.close();
});

test("processes that enqueue at once fill a queue to its limit and no further", async () => {
  const limited = () => openQueue(`file:${directory}/limited.db`, { namespace: "n", jobsMax: 1_500 });
  const queues = [limited(), limited()];
  const jobs = (count: number) => Array.from({ length: count }, () => ({ name: "j", payload: "{}" }));
  for (const queue of queues) await queue.enqueue("q", jobs(700));
  const refused = expect.objectContaining({ code: "queue_full" });
  for (const queue of queues)
    expect(await queue.enqueue("q", jobs(101)).catch((error: unknown) => error)).toEqual(refused);
  await queues[0]!.enqueue("q", jobs(100));
  expect(await queues[1]!.enqueue("q", jobs(1)).catch((error: unknown) => error)).toEqual(refused);
  for (const queue of queues) await queue.close();
});

test("expired rows are swept, a bounded number at a time", async () => {
  const path = `${directory}/swept.db`;
  const kv = openKv(`file:${path}`, { namespace: "n" });
  const look = new Database(path);
  look.run("PRAGMA busy_timeout = 2000");
  const fill = look.query("INSERT INTO kv (key, value, expires_at) VALUES (?, 'x', 1)");
  look.transaction(() => {
    for (let row = 0; row < 1_200; row++) fill.run(`n:old-${row}`);
  })();
  await kv.set("fresh", "v", 60_000);
  const rows = () => look.query<{ n: number }, []>("SELECT count(*) AS n FROM kv").get()!.n;
  while (rows() > 1) await Bun.sleep(50);
  expect(await kv.get("fresh")).toBe("v");
  look.close();
  await kv.close();
}, 20_000);

test("a place that cannot be written is a clear error", () => {
  expect(() => openKv("file:/proc/nowhere/kv.db", { namespace: "n" })).toThrow(
    /SQLite file \/proc\/nowhere\/kv\.db could not create the file/,
  );
  expect(() => openQueue("file:", { namespace: "n" })).toThrow(/expected file:PATH/);
});
