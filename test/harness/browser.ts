// A real browser for the page's tests: Debian's Chromium through Bun.WebView, one a test process.
// Invariant: what the browser writes is below a directory of ours, removed with it. Not here: what a test does on the page.

import { test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

import { eventually } from "./eventually.ts";
import { mark, own, survivors } from "./leaks.ts";

const names = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];
const artifacts = resolve(import.meta.dir, "../artifacts");

export interface Browser extends AsyncDisposable {
  readonly view: Bun.WebView;
  /** Fills a field as a user would. */
  fill(selector: string, text: string): Promise<void>;
  /** The visible text of an element; "" while there is none. */
  text(selector: string): Promise<string>;
  /** Saves test/artifacts/NAME.png, which git ignores, and returns its path. */
  screenshot(name: string): Promise<string>;
  /** Errors of the page's console so far. */
  readonly errors: readonly string[];
}

/** A test that needs a browser; where none is found it is skipped, and its name says why. */
export function browserTest(name: string, body: () => Promise<void>): void {
  if (findBrowser() === undefined) test.skip(`${name} (${noBrowser})`, body);
  else test(name, body);
}

export function findBrowser(): string | undefined {
  return names.map((name) => Bun.which(name)).find((path) => path !== null) ?? undefined;
}

const noBrowser = `no browser found: ${names.join(", ")}. Fix: apt-get install chromium`;

/** Opens a page of 1280 × 900. */
export function openBrowser(): Browser {
  const path = findBrowser();
  if (path === undefined) throw new Error(noBrowser);
  const directory = mkdtempSync(join(tmpdir(), "scale-browser-"));
  const { value, directories } = own("a browser");
  directories.push(directory);
  const errors: string[] = [];
  const view = new Bun.WebView({
    width: 1280,
    height: 900,
    // Its sandbox refuses to run as root, and /dev/shm is too small in a container.
    backend: {
      type: "chrome",
      path: launcher(directory, path, value),
      argv: ["--no-sandbox", "--disable-dev-shm-usage"],
    },
    dataStore: { directory: join(directory, "profile") },
    console: (type, ...args) => void (type === "error" && errors.push(args.map(String).join(" "))),
  });
  return {
    view,
    errors,
    fill: async (selector, text) => {
      await view.click(selector);
      await view.evaluate(`document.querySelector(${JSON.stringify(selector)}).select()`);
      await view.type(text);
    },
    text: async (selector) =>
      String(await view.evaluate(`document.querySelector(${JSON.stringify(selector)})?.innerText ?? ""`)),
    screenshot: async (name) => {
      mkdirSync(artifacts, { recursive: true });
      const file = join(artifacts, `${name}.png`);
      await Bun.write(file, await view.screenshot());
      return file;
    },
    [Symbol.asyncDispose]: async () => {
      // Bun hears of its browser's end when the pipe closes; a page opened before that would go with it.
      const heard = view.evaluate("new Promise(() => undefined)").catch(() => undefined);
      Bun.WebView.closeAll();
      await heard;
      await eventually(() => survivors(value).length === 0, { what: "the browser's processes being gone" });
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** Gives Chromium an environment, for which Bun.WebView has no option: its sockets in our directory, and the harness's mark. */
function launcher(directory: string, browser: string, value: string): string {
  const file = join(directory, "chromium");
  writeFileSync(file, `#!/bin/sh\nTMPDIR='${directory}' ${mark}='${value}' exec '${browser}' "$@"\n`);
  chmodSync(file, 0o755);
  return file;
}
