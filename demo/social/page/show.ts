/** How a person, a post, a time looks. Where it is placed is views.ts. */
import type { Person, Post } from "./api.ts";
import { make } from "./dom.ts";

const hues = 360;
const number = new Intl.NumberFormat("en");
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });
const date = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "short" });
const letters = new Intl.Segmenter("en");
const steps = [
  ["year", 31_536_000],
  ["month", 2_592_000],
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
] as const;

/** A picture, else the initials on a colour of their own. */
export function portrait(person: Person): HTMLElement {
  const circle = make("span", { class: "portrait", "aria-hidden": "true" }, initials(person.name));
  circle.style.setProperty("--hue", String(hueOf(person.id)));
  if (person.avatar !== null) {
    const picture = make("img", { src: person.avatar, alt: "", loading: "lazy" });
    picture.addEventListener("load", () => circle.replaceChildren(picture), { once: true });
    if (picture.complete) circle.replaceChildren(picture);
  }
  return circle;
}

export function byline(post: Post, author: Person): HTMLElement {
  const name = make("a", { href: `#/users/${author.id}` }, author.name);
  return make("div", { class: "byline" }, portrait(author), make("div", {}, name, facts(post)));
}

/** When it was written, and how often it was read. */
export function facts(post: Post): HTMLElement {
  const times = post.views === 1 ? "1 view" : `${number.format(post.views)} views`;
  return make("p", { class: "facts" }, moment(post.created_at), make("span", {}, times));
}

export function moment(iso: string): HTMLElement {
  const at = new Date(iso);
  return make("time", { datetime: iso, title: date.format(at) }, ago(at));
}

function ago(at: Date): string {
  const seconds = (at.getTime() - Date.now()) / 1_000;
  for (const [unit, length] of steps) {
    if (Math.abs(seconds) >= length) return relative.format(Math.round(seconds / length), unit);
  }
  return "just now";
}

function initials(name: string): string {
  const words = name.split(/\s+/).filter((word) => word !== "");
  return [...new Set([words.at(0), words.at(-1)])].map((word) => firstLetter(word ?? "")).join("");
}

function firstLetter(word: string): string {
  const [first] = letters.segment(word);
  return first?.segment.toUpperCase() ?? "";
}

/** Neighbouring ids get colours far apart: the golden angle. */
function hueOf(id: string): number {
  return Number((BigInt(id) * 137n) % BigInt(hues));
}
