/** Role lb while every target is replaced under load: no request fails, whatever its method. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { balancer } from "../harness/balancer.ts";
import { eventually } from "../harness/eventually.ts";
import { load } from "../harness/load.ts";
import { type ScaleProcess, startScale } from "../harness/process.ts";

setDefaultTimeout(60_000);

const directory = mkdtempSync(join(tmpdir(), "scale-restart-"));
const entry = join(directory, "entry.ts");
beforeAll(() =>
  writeFileSync(entry, 'export default { fetch: async () => (await Bun.sleep(5), new Response("hello")) };\n'),
);
afterAll(() => rmSync(directory, { recursive: true }));

/** Balancers notice within --health-interval that an application drains; it goes on serving for longer than that. */
const app = (name: string, listen = "127.0.0.1:0") =>
  startScale(["--role=app", entry, `--instance=${name}`, `--listen=${listen}`, "--served-by", "--drain-delay=500ms"]);

async function apps(names: readonly string[]): Promise<ScaleProcess[]> {
  return Promise.all(names.map((name) => app(name)));
}

/** Replaces each of the running applications, one after the other, on its own address, when `served` says that its successor is in. */
async function replaceAll(
  running: readonly ScaleProcess[],
  end: (old: ScaleProcess) => Promise<unknown>,
  isServed: (name: string) => boolean,
): Promise<ScaleProcess[]> {
  const successors: ScaleProcess[] = [];
  for (const [index, old] of running.entries()) {
    const { host } = new URL(old.url);
    await end(old);
    successors.push(await app(`new ${index}`, host));
    await eventually(() => isServed(`new ${index}`));
  }
  return successors;
}

test("a rolling restart of every application under load fails no request, GET or POST", async () => {
  const old = await apps(["a", "b", "c"]);
  await using lb = await balancer(old.map(({ url }) => new URL(url).host));
  await using reads = load(lb.url);
  await using writes = load(lb.url, { method: "POST", connections: 4 });
  await eventually(() => reads.servedBy.size === 3 && writes.ok > 100);
  const successors = await replaceAll(
    old,
    (each) => each.stop(),
    (name) => reads.servedBy.has(name) && writes.servedBy.has(name),
  );
  await Promise.all([reads.stop(), writes.stop()]);
  expect([reads.failures(), writes.failures()]).toEqual([{}, {}]);
  for (const each of successors) expect(await each.stop()).toBe(0);
});

test("kill -9 of every application, one after the other under load, fails no GET", async () => {
  const old = await apps(["a", "b", "c"]);
  await using lb = await balancer(old.map(({ url }) => new URL(url).host));
  await using reads = load(lb.url);
  await eventually(() => reads.servedBy.size === 3 && reads.ok > 100);
  const successors = await replaceAll(
    old,
    async (each) => {
      each.kill("SIGKILL");
      await each.stop();
    },
    (name) => reads.servedBy.has(name),
  );
  await reads.stop();
  expect(reads.failures()).toEqual({});
  for (const each of successors) expect(await each.stop()).toBe(0);
});
