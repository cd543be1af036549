/**
 * What the worker does for a new user while they look around: the welcome mail and the recommendations. Asked for until both are
 * there, ever more slowly and not for ever.
 */
import { type Account, api, type Mail, type Person, type Recommendations } from "./api.ts";
import { announce, find, make } from "./dom.ts";
import { portrait } from "./show.ts";

const firstPauseMs = 250;
const pauseMsMax = 4_000;
const askForMs = 60_000;

/** Follows one account until everything is there, another takes its place, or the time is over. */
export async function follow(account: Account | null, isCurrent: () => boolean): Promise<void> {
  if (account === null) return;
  show("#mails", waiting("Your welcome mail is being written."));
  show("#people", waiting("Looking for people you may enjoy."));
  const end = performance.now() + askForMs;
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 1.5, pauseMsMax)) {
    const there = await look(isCurrent);
    if (there || !isCurrent()) return;
    if (performance.now() > end) return late();
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

async function look(isCurrent: () => boolean): Promise<boolean> {
  try {
    const [mails, recommendations] = await Promise.all([api.mails(), api.recommendations()]);
    if (!isCurrent()) return true;
    showMails(mails);
    showPeople(recommendations);
    return mails.length > 0 && recommendations.calculated_at !== null;
  } catch {
    return false; // it may be over at the next look
  }
}

function showMails(mails: readonly Mail[]): void {
  const place = find("#mails", HTMLElement);
  if (mails.length === 0 || place.querySelector("details") !== null) return;
  show("#mails", ...mails.map(letter));
  announce("Your welcome mail is here.");
}

function letter(mail: Mail): HTMLElement {
  return make("details", {}, make("summary", {}, mail.subject), make("p", { class: "content" }, mail.body));
}

function showPeople({ calculated_at, people }: Recommendations): void {
  if (calculated_at === null) return;
  if (people.length === 0)
    show("#people", make("p", { class: "note" }, "Nobody to suggest yet: you are among the first."));
  else show("#people", make("ul", { class: "people" }, ...people.map((person) => make("li", {}, link(person)))));
}

function link(person: Person): HTMLElement {
  return make("a", { href: `#/users/${person.id}` }, portrait(person), person.name);
}

function late(): void {
  for (const place of document.querySelectorAll("#mails .waiting, #people .waiting")) {
    place.replaceWith(make("p", { class: "note" }, "This takes longer than usual. Reload the page later."));
  }
}

function waiting(text: string): HTMLElement {
  return make("p", { class: "note waiting" }, text);
}

function show(selector: string, ...content: HTMLElement[]): void {
  find(selector, HTMLElement).replaceChildren(...content);
}
