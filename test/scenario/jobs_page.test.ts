/** The page of a worker in a real browser, and who may ask it. Screenshots are kept in test/artifacts/. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";

import { openQueue } from "../../src/store/queue/open.ts";
import type { Queue } from "../../src/store/queue/queue.ts";
import { browserTest } from "../harness/browser.ts";
import { eventually } from "../harness/eventually.ts";
import { currentScope } from "../harness/leaks.ts";
import { type Person, person } from "../harness/person.ts";
import { type ScaleProcess, startScale } from "../harness/process.ts";
import { freshNamespace, sharedRedis } from "../harness/redis.ts";

setDefaultTimeout(60_000);

const entry = `${import.meta.dir}/fixtures/jobs.ts`;
const directory = mkdtempSync(join(tmpdir(), "scale-jobs-page-"));
const file = join(directory, "trace");
const hour = 3_600_000;
let queue: Queue;
let worker: ScaleProcess;

beforeAll(async () => {
  const { url } = await sharedRedis();
  const namespace = freshNamespace();
  queue = openQueue(url, { namespace });
  worker = await startScale(
    ["--role=worker", entry, `--redis-url=${url}`, `--namespace=${namespace}`, "--concurrency=4", "--drain-timeout=0"],
    { expectErrors: [/goes to the dead letters/], scope: currentScope() },
  );
});
afterAll(async () => {
  await worker.stop();
  await queue.close();
  rmSync(directory, { recursive: true, force: true });
});

const enqueue = (name: string, more: { delayMs?: number; payload?: string; queue?: string } = {}) =>
  queue.enqueue(more.queue ?? "default", [
    { name, payload: more.payload ?? JSON.stringify({ file, ms: 600_000 }), delayMs: more.delayMs ?? 0 },
  ]);
const secret = JSON.stringify({ file, to: "ada@example.com", access_token: "hunter2", note: "<b>not markup</b>" });

async function opened(someone: Person, path = "/jobs"): Promise<void> {
  await someone.open(`${worker.adminUrl}${path}`);
  await someone.sees("#live", "live");
}

describe("the page", () => {
  browserTest("shows queues, jobs and one job in full, and retries, cancels, discards and pauses", async () => {
    await enqueue("work");
    const [dead] = await enqueue("fail", { payload: secret });
    await enqueue("work", { delayMs: hour, queue: "other" });
    await eventually(async () => (await queue.stats("default")).dead === 1);
    await using operator = await person({ width: 1280, height: 860, scheme: "light" });
    await opened(operator);
    await operator.sees("#queues", "other");
    await operator.until(`document.querySelectorAll("#jobs tbody tr").length === 3`);
    await operator.sees("#jobs", "running");
    await operator.screenshot("jobs-light");

    await operator.click(`#jobs tbody tr:has(.state-discarded) .id`);
    await operator.sees("#details", "attempt 3 with the password");
    const text = await operator.text("#details");
    expect(text).toContain(dead!);
    expect(text).toContain('"note": "<b>not markup</b>"');
    expect(text).toContain('"access_token": "[redacted]"');
    expect(text).not.toContain("hunter2");
    await operator.screenshot("jobs-details");

    await operator.click("#orders button:first-child");
    await operator.sees("#said", "1 retried");
    await eventually(async () => {
      const found = await queue.inspector.find(dead!);
      return found?.place === "dead" && found.envelope.includes("retried by an operator");
    });
    await operator.sees("#details", "retried by an operator, discarded after 3 attempts");
    await operator.sees("#orders", "Discard");
    await operator.click("#orders button.danger");
    await operator.until(`!document.querySelector("#details").open`);
    expect(await queue.inspector.find(dead!)).toBeUndefined();

    await operator.click(`#queues tr:has(th[scope=row]) button`);
    await operator.sees("#queues", "Resume");
    await operator.click(`#queues tr:has(th[scope=row]) button`);
    await operator.until(`!document.querySelector("#queues").innerText.includes("Resume")`);
  });

  browserTest("filters stand in the address, on a phone in the dark too", async () => {
    await enqueue("later", { delayMs: hour });
    await using operator = await person({ width: 390, height: 844, scheme: "dark" });
    await opened(operator, "/jobs#state=scheduled&job=later");
    await operator.until(`document.querySelectorAll("#jobs tbody tr").length === 1`);
    expect(await operator.value<number>("document.documentElement.scrollWidth")).toBe(390);
    await operator.screenshot("jobs-phone-dark");
    await operator.fill("#filter [name=job]", "nothing");
    await operator.sees("main", "No job passes the filter.");
    expect(await operator.value<string>("location.hash")).toContain("job=nothing");
    await operator.screenshot("jobs-dark");
  });
});

browserTest("a job that waits for a place at a limit is seen to, apart from what any worker may take", async () => {
  const gates = [{ name: "job:limited", max: 1 }];
  const limited = (ms: number) => ({ name: "work", payload: JSON.stringify({ file, ms }), gates });
  const [running, parked] = await queue.enqueue("limited", [limited(600_000), limited(0)]);
  await using operator = await person({ width: 1280, height: 860, scheme: "light" });
  await opened(operator, "/jobs#queue=limited");
  const cells = `[...document.querySelector("#queues tbody tr:has(td)").closest("tbody").rows]
    .find((row) => row.cells[0].innerText === "limited")?.cells`;
  await operator.until(`[...(${cells} ?? [])].slice(1, 4).map((cell) => cell.innerText).join() === "1,1,0"`);
  await operator.sees("#jobs", "waits for a place at job:limited");
  expect(await operator.value<number>(`document.querySelectorAll("#jobs tbody tr").length`)).toBe(2);
  await operator.click(`#jobs tbody tr:last-child .id`);
  await operator.sees("#details", "job:limited (1)");
  expect(await operator.text("#details")).toContain(parked!);
  for (const id of [parked!, running!]) expect(await queue.inspector.cancel(id)).toBe("cancelled");
});

describe("of several processes", () => {
  let pair: ScaleProcess;
  let theirs: Queue;
  beforeAll(async () => {
    const { url } = await sharedRedis();
    const namespace = freshNamespace();
    theirs = openQueue(url, { namespace });
    const flags = [
      `--redis-url=${url}`,
      `--namespace=${namespace}`,
      "--concurrency=2",
      "--prefetch=0",
      "--drain-timeout=0",
    ];
    pair = await startScale(["--role=worker", entry, "--processes=2", ...flags], { scope: currentScope() });
  });
  afterAll(async () => {
    await pair.stop();
    await theirs.close();
  });
  const ask = async (path: string) => (await fetch(`${pair.adminUrl}${path}`)).json() as Promise<unknown>;
  const steer = (order: string, ids: readonly string[] = []) =>
    fetch(`${pair.adminUrl}/jobs/steer`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ order, queue: "default", ids }),
    });

  test("the slots are theirs together, and the jobs of both are listed, shown and cancelled", async () => {
    const payload = JSON.stringify({ file });
    const ids = await theirs.enqueue(
      "default",
      Array.from({ length: 4 }, () => ({ name: "obedient", payload, delayMs: 0 })),
    );
    await eventually(async () => {
      const { worker: shown } = (await ask("/jobs/queues")) as { worker: object };
      return Bun.deepEquals(
        { ...shown, version: "" },
        { instance: "2 processes", version: "", slotsUsed: 4, slotsMax: 4 },
      );
    });
    const { jobs } = (await ask("/jobs/list?state=running")) as { jobs: readonly { id: string }[] };
    expect(jobs.map(({ id }) => id).toSorted()).toEqual([...ids].toSorted());
    expect(await ask(`/jobs/job?id=${ids[0]}`)).toMatchObject({ id: ids[0] });
    expect(await (await steer("cancel", ids)).json()).toEqual({ outcomes: ids.map(() => "cancelling") });
    await eventually(async () => (await theirs.stats("default")).running === 0);
  });

  test("an order is obeyed, one that is none refused, and who may not ask is not answered", async () => {
    const paused = async () => (await theirs.inspector.overview("default")).pausedAtMs !== undefined;
    expect((await steer("pause")).status).toBe(200);
    expect(await paused()).toBe(true);
    expect((await steer("resume")).status).toBe(200);
    expect(await paused()).toBe(false);
    expect((await steer("drop")).status).toBe(400);
    const foreign = await fetch(`${pair.adminUrl}/jobs/queues`, { headers: { host: "evil.example" } });
    expect(foreign.status).toBe(403);
    const nothing = await fetch(`${pair.adminUrl}/nothing`);
    expect([nothing.status, await nothing.text()]).toEqual([
      404,
      "admin listener: /healthz /readyz /metrics /jobs /statements\n",
    ]);
  });

  browserTest("the page is the same", async () => {
    await using operator = await person({ width: 1280, height: 860, scheme: "light" });
    await operator.open(`${pair.adminUrl}/jobs`);
    await operator.sees("#live", "live");
    await operator.sees("#worker", "2 processes, 0 of 4 slots busy");
  });
});

describe("who may ask", () => {
  const ask = (path: string, init: RequestInit = {}) => fetch(`${worker.adminUrl}${path}`, init);
  const order = (headers: Record<string, string>, body: unknown = { order: "pause", queue: "other" }) =>
    ask("/jobs/steer", {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify(body),
    });
  const paused = async () => (await queue.inspector.overview("other")).pausedAtMs !== undefined;

  test("the page's answers cannot be framed, kept or read as something else", async () => {
    const page = await ask("/jobs");
    expect(page.headers.get("content-type")).toContain("text/html");
    expect(page.headers.get("content-security-policy")).toBe("frame-ancestors 'none'");
    const queues = await ask("/jobs/queues");
    expect(queues.headers.get("cache-control")).toBe("no-store");
    expect(queues.headers.get("x-content-type-options")).toBe("nosniff");
    expect(await (await ask("/nothing")).text()).toContain("/healthz /readyz /metrics /jobs");
  });

  const outside = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .find(({ family, internal }) => family === "IPv4" && !internal)?.address;
  test.skipIf(outside === undefined)("who comes over the network gets metrics and no page", async () => {
    const { url } = await sharedRedis();
    const flags = [`--redis-url=${url}`, `--namespace=${freshNamespace()}`, "--admin=0.0.0.0:0"];
    await using open = await startScale(["--role=worker", entry, ...flags]);
    const elsewhere = open.adminUrl.replace("0.0.0.0", outside!);
    expect((await fetch(`${elsewhere}/metrics`)).status).toBe(200);
    const page = await fetch(`${elsewhere}/jobs`);
    expect(page.status).toBe(403);
    expect(await page.text()).toContain(`you come from ${outside}. Fix: ssh -L`);
    const forged = await fetch(`${elsewhere}/jobs/queues`, { headers: { host: "localhost" } });
    expect(forged.status).toBe(403);
  });

  test("another name for this machine is refused, for every path of the page and for no other", async () => {
    for (const path of ["/jobs", "/jobs/queues", "/jobs/list", "/jobs/job?id=default:1-0"]) {
      const rebound = await ask(path, { headers: { host: "evil.example:80" } });
      expect(rebound.status).toBe(403);
      expect(await rebound.text()).toContain("under localhost or 127.0.0.1 only");
    }
    expect((await ask("/healthz", { headers: { host: "evil.example" } })).status).toBe(200);
    expect((await ask("/jobs/queues", { headers: { host: "localhost:1" } })).status).toBe(200);
  });

  test("an order from another site's page is refused, one of a program or of the page itself is obeyed", async () => {
    const foreign: readonly Record<string, string>[] = [
      { "sec-fetch-site": "cross-site" },
      { "sec-fetch-site": "same-site" },
      { origin: "https://evil.example" },
      { origin: "null" },
      { "content-type": "text/plain" },
    ];
    for (const headers of foreign) expect((await order(headers)).status).toBeOneOf([400, 403]);
    expect(await paused()).toBe(false);
    expect((await order({ "sec-fetch-site": "same-origin", origin: worker.adminUrl })).status).toBe(200);
    expect(await paused()).toBe(true);
    expect((await order({}, { order: "resume", queue: "other" })).status).toBe(200);
    expect(await paused()).toBe(false);
  });

  test("an order that is none is refused with what was expected", async () => {
    const wrong: readonly (readonly [unknown, RegExp])[] = [
      [null, /expected order: retry, discard, cancel, pause, resume/],
      [{ order: "drop", queue: "other" }, /expected order/],
      [{ order: "pause", queue: "../x" }, /expected the queue's name/],
      [{ order: "retry", queue: "other", ids: "all" }, /expected at most 500 ids/],
      [{ order: "retry", queue: "other", ids: ["default:1-0"] }, /expected ids of that queue/],
    ];
    for (const [body, message] of wrong) {
      const answer = await order({}, body);
      expect(answer.status).toBe(400);
      expect(((await answer.json()) as { error: { message: string } }).error.message).toMatch(message);
    }
    expect((await ask("/jobs/job?id=default:1-0")).status).toBe(404);
    expect((await ask("/jobs/list?cursor=here")).status).toBe(400);
  });
});
