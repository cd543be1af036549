/** Role lb between clients that people use, curl and Chromium, and role app: large bodies at flat memory, events, WebSockets. */
import { expect, setDefaultTimeout, test } from "bun:test";

import { balancer } from "../harness/balancer.ts";
import { browserTest, openBrowser } from "../harness/browser.ts";
import { eventually } from "../harness/eventually.ts";
import { residentBytes } from "../harness/proc.ts";
import { type ScaleProcess, startScale } from "../harness/process.ts";

setDefaultTimeout(120_000);

const entry = `${import.meta.dir}/fixtures/clients.ts`;
const mebibyte = 1024 ** 2;
const gibibyte = 1024 ** 3;

async function served(): Promise<AsyncDisposable & { readonly app: ScaleProcess; readonly lb: ScaleProcess }> {
  const app = await startScale([
    "--role=app",
    entry,
    "--drain-delay=0",
    "--body-bytes-max=2GiB",
    "--request-timeout=100s",
  ]);
  const lb = await balancer([new URL(app.url).host]);
  return {
    app,
    lb,
    [Symbol.asyncDispose]: async () => {
      await lb.stop();
      await app.stop();
    },
  };
}

/** Runs curl, its input a command's output if one is given; resolves with what it wrote. */
async function curl(args: readonly string[], input?: string): Promise<string> {
  const words = ["curl", "--silent", "--show-error", "--fail", ...args].map((word) => `'${word}'`).join(" ");
  const child = Bun.spawn(["sh", "-c", input === undefined ? words : `${input} | ${words}`], { stderr: "inherit" });
  const output = await new Response(child.stdout).text();
  expect(await child.exited).toBe(0);
  return output;
}

/**
 * The most memory that `pid` has while `work` goes on, above what it had before. A body's length makes no difference to it: an upload of 1 GiB
 * cost 36 MiB, one of 4 GiB after it 24 MiB more, up and down all the time.
 */
async function growthOf(pid: number, work: () => Promise<void>): Promise<number> {
  const before = residentBytes(pid);
  let most = before;
  const timer = setInterval(() => (most = Math.max(most, residentBytes(pid))), 20);
  await work().finally(() => clearInterval(timer));
  return most - before;
}

test.each([
  [
    "a download of 1 GiB",
    ["--output", "/dev/null", "--write-out", "%{size_download}"],
    "/download?mebibytes=1024",
    undefined,
  ],
  [
    "an upload of 1 GiB with a length",
    ["--upload-file", "-", "--header", `Content-Length: ${gibibyte}`, "--header", "Transfer-Encoding:"],
    "/upload",
    `head -c ${gibibyte} /dev/zero`,
  ],
  ["an upload of 1 GiB in chunks", ["--upload-file", "-"], "/upload", `head -c ${gibibyte} /dev/zero`],
])("%s by curl arrives whole, at flat memory", async (_, args, path, input) => {
  await using at = await served();
  const growth = await growthOf(at.lb.pid, async () => {
    expect(await curl([...args, `${at.lb.url}${path}`], input)).toBe(String(gibibyte));
  });
  expect(growth).toBeLessThan(96 * mebibyte);
});

test("a download that a slow client takes costs the balancer no more than a little", async () => {
  await using at = await served();
  const growth = await growthOf(at.lb.pid, async () => {
    const slow = ["--limit-rate", "20M", "--output", "/dev/null", "--write-out", "%{size_download}"];
    expect(await curl([...slow, `${at.lb.url}/download?mebibytes=40`])).toBe(String(40 * mebibyte));
  });
  expect(growth).toBeLessThan(24 * mebibyte);
});

test("a download that is open when the balancer drains is finished", async () => {
  await using at = await served();
  const slow = ["--limit-rate", "20M", "--output", "/dev/null", "--write-out", "%{size_download}"];
  const download = curl([...slow, `${at.lb.url}/download?mebibytes=40`]);
  await eventually(async () =>
    (await (await fetch(`${at.lb.adminUrl}/metrics`)).text()).includes("lb_requests_in_flight 1"),
  );
  at.lb.kill("SIGTERM");
  expect(await download).toBe(String(40 * mebibyte));
  expect(await at.lb.exited).toBe(0);
});

browserTest("a browser loads, uploads, hears events and speaks through a WebSocket", async () => {
  await using at = await served();
  await using browser = openBrowser();
  await browser.view.navigate(at.lb.url);
  const title = await eventually(
    async () => {
      const now = String(await browser.view.evaluate("document.title"));
      return now.startsWith("{") ? now : undefined;
    },
    { timeout: 30_000, what: "the page's result" },
  );
  expect(JSON.parse(title)).toEqual({
    sizes: Array.from({ length: 20 }, () => mebibyte),
    upload: "5000000",
    heard: ["event 1", "event 2", "event 3"],
    echo: "hello",
  });
  expect(browser.errors).toEqual([]);
});
