// A person at a browser: uses a page by pointer and keyboard, and waits for what they should see.
// Invariant: every wait is for a condition; what the page throws, logs as an error or has blocked by its policy fails the test at the end.
import { type Browser, openBrowser } from "./browser.ts";
import { eventually } from "./eventually.ts";

export interface Screen {
  readonly width: number;
  readonly height: number;
  readonly scheme: "light" | "dark";
}

const patienceMilliseconds = 10_000;

/** Opens a browser with nobody signed in; `await using` closes it. */
export async function person(screen: Screen): Promise<Person> {
  const browser = openBrowser();
  const { view } = browser;
  await view.navigate("about:blank"); // there is no session for commands before the first page
  const faults: string[] = [];
  await watch(view, faults);
  const someone = new Person(browser, faults);
  await someone.screen(screen);
  return someone;
}

/** What a page does not say through its console: exceptions, and what its content security policy has blocked. */
async function watch(view: Bun.WebView, faults: string[]): Promise<void> {
  view.addEventListener("Runtime.exceptionThrown", (event) => faults.push(JSON.stringify(dataOf(event))));
  view.addEventListener("Log.entryAdded", (event) => {
    const { entry } = dataOf(event) as { readonly entry: { readonly source: string; readonly text: string } };
    if (entry.source !== "network") faults.push(`${entry.source}: ${entry.text}`); // an answer of 401 is no fault of the page
  });
  await view.cdp("Runtime.enable");
  await view.cdp("Log.enable");
}

export class Person implements AsyncDisposable {
  readonly #browser: Browser;
  readonly #faults: readonly string[];

  constructor(browser: Browser, faults: readonly string[]) {
    this.#browser = browser;
    this.#faults = faults;
  }

  open(url: string): Promise<void> {
    return this.#browser.view.navigate(url);
  }

  /** Scrolls to the element and clicks when it can be clicked. */
  async click(selector: string): Promise<void> {
    await this.#browser.view.scrollTo(selector, { timeout: patienceMilliseconds });
    await this.#browser.view.click(selector, { timeout: patienceMilliseconds });
  }

  /** Types into a field in place of what is there. */
  async fill(selector: string, text: string): Promise<void> {
    await this.#browser.view.scrollTo(selector, { timeout: patienceMilliseconds });
    await this.#browser.fill(selector, text);
  }

  type(text: string): Promise<void> {
    return this.#browser.view.type(text);
  }

  press(key: string): Promise<void> {
    return this.#browser.view.press(key);
  }

  /** The value of an expression in the page. */
  value<T>(expression: string): Promise<T> {
    return this.#browser.view.evaluate(expression) as Promise<T>;
  }

  text(selector: string): Promise<string> {
    return this.#browser.text(selector);
  }

  /** Waits until an expression in the page is true. */
  async until(expression: string): Promise<void> {
    await eventually(() => this.value(expression), { what: expression });
  }

  /** Waits until an element shows this text. */
  async sees(selector: string, text: string): Promise<void> {
    await eventually(async () => (await this.text(selector)).includes(text), { what: `"${text}" in ${selector}` });
  }

  /** A width below 500 is a phone: two device pixels for one of the page, and touch. */
  async screen({ width, height, scheme }: Screen): Promise<void> {
    const { view } = this.#browser;
    const mobile = width < 500;
    await view.cdp("Emulation.setDeviceMetricsOverride", { width, height, mobile, deviceScaleFactor: mobile ? 2 : 1 });
    await view.cdp("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: scheme }] });
  }

  screenshot(name: string): Promise<string> {
    return this.#browser.screenshot(name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#browser[Symbol.asyncDispose]();
    const faults = [...this.#browser.errors, ...this.#faults];
    if (faults.length > 0) throw new Error(`the page is not well:\n  ${faults.join("\n  ")}`);
  }
}

function dataOf(event: unknown): unknown {
  return event instanceof MessageEvent ? event.data : undefined;
}
