/** Files over HTTP: what is served, how it is cached, and what is never served. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { type StaticFiles, staticFiles } from "../../src/app/static_files.ts";

let directory: string;
let files: StaticFiles;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "scale-static-"));
  const root = join(directory, "public");
  mkdirSync(join(root, "sub"), { recursive: true });
  mkdirSync(join(root, ".git"));
  writeFileSync(join(root, "index.html"), "<h1>home</h1>");
  writeFileSync(join(root, "app.3f9a2c1b.js"), "1");
  writeFileSync(join(root, "jquery.min.js"), "1");
  writeFileSync(join(root, "report-20240101.pdf"), "1");
  writeFileSync(join(root, "sub/a b.txt"), "text");
  writeFileSync(join(root, ".git/config"), "secret");
  writeFileSync(join(directory, "outside.txt"), "secret");
  symlinkSync(join(directory, "outside.txt"), join(root, "link.txt"));
  files = staticFiles(root);
});
afterAll(() => rmSync(directory, { recursive: true }));

function get(path: string, headers: { [name: string]: string } = {}, method = "GET") {
  return files(new Request("http://localhost/", { method, headers }), path);
}

test("a directory's index.html, a file, and a name with a space are served", async () => {
  expect(await (await get("/"))?.text()).toBe("<h1>home</h1>");
  expect(await (await get("/sub/a%20b.txt"))?.text()).toBe("text");
});

test("a name with a hash is cached for ever, any other is asked for again", async () => {
  expect((await get("/app.3f9a2c1b.js"))?.headers.get("cache-control")).toContain("immutable");
  for (const path of ["/jquery.min.js", "/report-20240101.pdf"]) {
    expect((await get(path))?.headers.get("cache-control")).toContain("must-revalidate");
  }
});

test("who has the current file gets 304", async () => {
  const first = await get("/jquery.min.js");
  const etag = first!.headers.get("etag")!;
  const modified = first!.headers.get("last-modified")!;
  expect((await get("/jquery.min.js", { "if-none-match": `"x", W/${etag}` }))?.status).toBe(304);
  expect((await get("/jquery.min.js", { "if-none-match": '"x"', "if-modified-since": modified }))?.status).toBe(200);
  expect((await get("/jquery.min.js", { "if-modified-since": modified }))?.status).toBe(304);
});

test.each([
  "/../outside.txt",
  "/%2e%2e/outside.txt",
  "/sub/..%2f..%2foutside.txt",
  "/link.txt",
  "/.git/config",
  "/sub",
  "/missing",
  "/a%00b",
  "/%zz",
])("%s is not served", async (path) => {
  expect(await get(path)).toBeNull();
});

test("only GET and HEAD ask for files", async () => {
  expect(await get("/jquery.min.js", {}, "POST")).toBeNull();
  expect((await get("/jquery.min.js", {}, "HEAD"))?.status).toBe(200);
});
