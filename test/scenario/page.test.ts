/** The page in a real browser: what a person does, and what they must see. Screenshots are kept in test/artifacts/. */
import { afterAll, beforeAll, expect, setDefaultTimeout } from "bun:test";

import { browserTest, findBrowser } from "../harness/browser.ts";
import { type Cluster, cluster } from "../harness/cluster.ts";
import { type Person, person } from "../harness/person.ts";
import { Visitor } from "../harness/visitor.ts";

setDefaultTimeout(60_000); // Bun keeps the one set in a preload for the first file only

const password = "correct horse battery";
const desktop = { width: 1200, height: 900, scheme: "light" } as const;
const phone = { width: 390, height: 844, scheme: "dark" } as const;
let system: Cluster | undefined;
let url = "";

beforeAll(async () => {
  if (findBrowser() === undefined) return;
  system = await cluster({ stores: "real" });
  url = system.url;
  await somethingToRead();
});
afterAll(() => system?.[Symbol.asyncDispose]());

async function somethingToRead(): Promise<void> {
  const posts = {
    "Grace Hopper": ["A bug in a relay", "We found it at a quarter to four, taped it into the log book, and went on."],
    "Maria Schmidt": [
      "What one index changed",
      "The list took three seconds. The plan said Seq Scan. One line later it said Index Scan, and the list took ten milliseconds. I still look at it sometimes, the way one looks at a photograph of a place that turned out well.",
    ],
    "Jun Tanaka": ["A walk along the river", "Out at six, back at eight. Two herons, one dog, nobody else."],
  };
  for (const [name, [title, content]] of Object.entries(posts)) {
    const visitor = new Visitor(url);
    await visitor.post("/signup", { name, email: `${name.split(" ")[0]}@example.org`, password });
    const { body } = await visitor.post<{ id: string }>("/posts", { title, content });
    await visitor.get(`/posts/${body.id}`);
  }
}

async function signUp(user: Person, name: string, email: string): Promise<void> {
  await user.click("header [data-opens=signup]");
  await user.fill("#signup-name", name);
  await user.fill("#signup-email", email);
  await user.fill("#signup-password", password);
  await user.press("Enter");
  await user.until(`document.querySelector("#signup").open === false`);
}

async function logOut(user: Person): Promise<void> {
  await user.click("#account");
  await user.click("#logout");
}

const feed = "#view .posts";

browserTest("sign up, receive mail and recommendations, write, see it in the feed, change it, log out", async () => {
  await using user = await person(desktop);
  await user.open(url);
  await user.sees(feed, "A bug in a relay");
  await user.screenshot("feed-signed-out");

  await signUp(user, "Edsger Dijkstra", "edsger@example.org");
  await user.sees("header", "Edsger Dijkstra");
  await user.sees("#mails", "Welcome, Edsger Dijkstra");
  await user.sees("#people", "Grace Hopper");

  await user.fill("#composer-title", "Simplicity");
  await user.press("Tab");
  await user.type("It takes hard work,\n<b>and education</b>.");
  await user.screenshot("composer");
  await user.click("#composer button");
  await user.sees(`${feed} li:first-child`, "Simplicity");
  await user.sees(`${feed} li:first-child`, "<b>and education</b>");
  expect(await user.value(`document.querySelectorAll("#view b").length`)).toBe(0);
  await user.sees("#served", "app-1");
  await user.sees("#served", "app-2");
  await user.screenshot("feed-signed-in");

  await user.click(`${feed} li:first-child h2 a`);
  await user.sees("article.whole h1", "Simplicity");
  expect(await user.value("document.title")).toBe("Simplicity · Social");
  expect(await user.value("document.activeElement.textContent")).toBe("Simplicity");
  await user.screenshot("post");
  await user.click("article.whole .actions button");
  await user.fill("#edit-title", "Simplicity, again");
  await user.screenshot("editor");
  await user.click("#view form .actions button:not(.quiet)");
  await user.until(`document.querySelector("article.whole h1")?.textContent === "Simplicity, again"`);

  await user.click("nav [data-list=popular]");
  await user.sees(feed, "Simplicity, again");
  expect(await user.text("nav [aria-current=page]")).toBe("Popular");
  await user.screenshot("popular");

  // A log-out that did not arrive must not be believed.
  await user.value(`void (window.online = fetch, window.fetch = () => Promise.reject(new TypeError("no network")))`);
  await logOut(user);
  await user.sees("#announce", "You are still logged in.");
  expect(await user.value(`document.querySelector("#composer").hidden`)).toBe(false);
  await user.value(`void (window.fetch = window.online)`);
  await logOut(user);
  await user.until(`document.querySelector("#composer").hidden`);
  await user.sees("header", "Log in");
});

browserTest("what is wrong is said beside the field, and Escape leaves", async () => {
  await using user = await person(desktop);
  await user.open(url);
  await user.click("header [data-opens=signup]");
  await user.fill("#signup-name", "Somebody");
  await user.fill("#signup-email", "GRACE@example.org");
  await user.click("#signup form > button");
  await user.sees("#signup-password-problem", "Password is missing.");
  await user.screenshot("sign-up-refused");
  expect(await user.value("document.activeElement.id")).toBe("signup-password");
  await user.type(password);
  expect(await user.text("#signup-password-problem")).toBe("");
  await user.press("Enter");
  await user.sees("#signup-email-problem", "E-mail has an account already: log in instead.");
  await user.press("Escape");
  await user.until(`document.querySelector("#signup").open === false`);
  await user.click("header [data-opens=login]");
  await user.fill("#login-email", "grace@example.org");
  await user.fill("#login-password", "not this one");
  await user.press("Enter");
  await user.sees("#login .problem", "E-mail or password is wrong.");
  await user.fill("#login-password", password);
  await user.press("Enter");
  await user.sees("header", "Grace Hopper");
});

browserTest("a session that has ended meanwhile asks to log in, and the draft survives", async () => {
  await using user = await person(desktop);
  await user.open(url);
  await signUp(user, "Barbara Liskov", "barbara@example.org");
  await user.fill("#composer-title", "On abstraction");
  await user.fill("#composer-content", "What a type promises.");
  // The page has stopped asking for mail: else that question may be the one that finds the session ended.
  await user.until(`document.querySelector("#mails .waiting, #people .waiting") === null`);
  await user.value(`fetch("/logout", { method: "POST" }).then(() => true)`);
  await user.click("#composer button");
  await user.until(`document.querySelector("#login").open`);
  await user.fill("#login-email", "barbara@example.org");
  await user.fill("#login-password", password);
  await user.press("Enter");
  await user.sees("header", "Barbara Liskov");
  await user.click("#composer button");
  await user.sees(`${feed} li:first-child`, "What a type promises.");
});

browserTest("who is logged in elsewhere too sees where, and ends it there", async () => {
  await using user = await person(desktop);
  await user.open(url);
  await signUp(user, "Katherine Johnson", "katherine@example.org");
  const others = ["curl/8.9.1", "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) Version/18.1 Safari/604.1"].map(
    (userAgent) => ({ userAgent, visitor: new Visitor(url) }),
  );
  const logIn = ({ visitor, userAgent }: (typeof others)[number]) =>
    visitor.ask("POST", "/login", { email: "katherine@example.org", password }, { "user-agent": userAgent });
  for (const other of others) expect((await logIn(other)).status).toBe(200);
  await user.click("#account");
  await user.screenshot("account-menu");
  await user.click("#account-menu [data-opens=devices]");
  await user.sees("#devices", "Safari on iPhone");
  await user.sees("#devices", "curl");
  await user.sees("#devices li:last-child", "This device");
  await user.screenshot("devices");
  await user.click("#devices li:first-child button");
  await user.until(`document.querySelectorAll("#devices li").length === 2`);
  const statuses = () => Promise.all(others.map(async ({ visitor }) => (await visitor.get("/me")).status));
  expect(await statuses()).toEqual([200, 401]);
  await user.screen(phone);
  await user.screenshot("devices-phone-dark");
  expect(await user.value("document.querySelector('#devices').scrollWidth <= innerWidth")).toBe(true);
  await user.click("#elsewhere");
  await user.until(`document.querySelectorAll("#devices li").length === 1`);
  expect(await user.value(`document.querySelector("#elsewhere").hidden`)).toBe(true);
  expect(await statuses()).toEqual([401, 401]);
  await user.press("Escape");
  await user.click("#account");
  await user.screenshot("account-menu-phone-dark");
  await user.screen({ ...phone, scheme: "light" });
  await user.screenshot("account-menu-phone-light");
});

browserTest("it fits a phone, in the dark, and needs no pointer", async () => {
  await using user = await person(phone);
  await user.open(url);
  await user.sees(feed, "A bug in a relay");
  await user.press("Tab");
  expect(await user.value("document.activeElement.textContent")).toBe("Skip to the posts");
  await user.press("Enter");
  expect(await user.value("document.activeElement.id")).toBe("main");
  await signUp(user, "A name that is rather too long for the header of a phone", "phone@example.org");
  await user.sees("#people", "Grace Hopper");
  expect(await user.value("document.documentElement.scrollWidth")).toBe(phone.width);
  await user.screenshot("phone-dark");
  await user.click("#mails summary");
  await user.screen({ ...phone, scheme: "light" });
  await user.screenshot("phone-light");
  expect(await user.value("document.querySelector('aside').scrollWidth <= innerWidth")).toBe(true);
});
