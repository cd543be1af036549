// The browser harness on a page of its own: what the page's scenarios rely on.

import { expect, setDefaultTimeout } from "bun:test";

import { browserTest, openBrowser } from "../harness/browser.ts";
import { eventually } from "../harness/eventually.ts";

setDefaultTimeout(60_000);

const page = `<!doctype html><title>greeter</title><form><input id="name" value="nobody"><button>Go</button></form><p id="said"></p>
<script>document.querySelector("form").onsubmit = event => {
  event.preventDefault();
  console.error("said hello");
  said.textContent = "hello " + document.querySelector("#name").value;
};</script>`;

browserTest("a page is filled in, clicked and seen", async () => {
  const server = Bun.serve({
    port: 0,
    fetch: () => new Response(page, { headers: { "content-type": "text/html" } }),
  });
  await using browser = openBrowser();
  await browser.view.navigate(server.url.href);
  await browser.fill("#name", "Ada");
  await browser.view.click("button");
  expect(await browser.text("#said")).toBe("hello Ada");
  expect(await browser.text("#nothing")).toBe("");
  await eventually(() => browser.errors.includes("said hello"));
  const picture = Bun.file(await browser.screenshot("harness"));
  expect((await picture.bytes()).subarray(1, 4)).toEqual(new TextEncoder().encode("PNG"));
  await server.stop(true);
});
