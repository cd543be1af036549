import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

import page from "../../demo/social/page/index.html";
import { assetRoutes, isHtmlImport } from "../../src/ops/html_import.ts";

const get = (path: string, headers: HeadersInit = {}) => new Request(`http://localhost${path}`, { headers });

test("an HTML import becomes the page and every file it names, under hashed names that may be kept for ever", async () => {
  const routes = await assetRoutes("/", page);
  const html = routes["/"]!.GET(get("/"));
  const text = await html.text();
  expect(html.headers.get("cache-control")).toBe("no-cache");
  const named = [...text.matchAll(/(?:src|href)="(\/[^"]+)"/g)].map(([, path]) => path!);
  expect(named.length).toBeGreaterThanOrEqual(3);
  for (const path of named) {
    expect(path).toMatch(/^\/\w+-\w{8}\.(js|css|svg)$/);
    const file = routes[path]!.GET(get(path));
    expect(file.headers.get("cache-control")).toBe("public, max-age=31536000, immutable");
    expect((await file.bytes()).length).toBeGreaterThan(100);
  }
});

test("a file the browser has is answered with 304, by any of the forms If-None-Match takes", async () => {
  const { "/somewhere": route } = await assetRoutes("/somewhere", page);
  const etag = route!.GET(get("/somewhere")).headers.get("etag")!;
  expect(etag).toMatch(/^"\w+"$/);
  for (const given of [etag, `W/${etag}`, `"other", ${etag}`, "*"]) {
    expect(route!.GET(get("/somewhere", { "if-none-match": given })).status).toBe(304);
  }
  expect(route!.GET(get("/somewhere", { "if-none-match": '"other"' })).status).toBe(200);
});

test("a page that cannot be bundled names itself and the reason", async () => {
  const index = join(mkdtempSync(join(tmpdir(), "scale-html-")), "broken.html");
  await Bun.write(index, '<script type="module" src="./gone.ts"></script>');
  const failure = await assetRoutes("/", { index }).catch((error: unknown) => error);
  rmSync(dirname(index), { recursive: true });
  expect(failure).toMatchObject({ code: "entry_invalid" });
  expect(String(failure)).toContain(`${index} cannot be bundled: Could not resolve: "./gone.ts"`);
});

test("methods and responses are not taken for an HTML import", () => {
  expect([page, { GET: () => 1 }, new Response(""), () => 1].map(isHtmlImport)).toEqual([true, false, false, false]);
});
