/** What the main column shows: a list, a post, a user. Each is built from the API's answer and handed back; placing it is main.ts. */
import { account, accountKnown } from "./account.ts";
import { api, type Post } from "./api.ts";
import { announce, make } from "./dom.ts";
import { onSubmit } from "./form.ts";
import { byline, facts, moment, portrait } from "./show.ts";

/** A view's heading takes the focus when it is shown by following a link. */
export interface View {
  readonly title: string;
  readonly content: readonly HTMLElement[];
}

export async function newest(): Promise<View> {
  const posts = await api.newest();
  return {
    title: "Newest",
    content: [heading("Newest", true), list(posts, "Nothing here yet. The first post could be yours.")],
  };
}

export async function popular(): Promise<View> {
  const posts = await api.popular();
  const note = make("p", { class: "note" }, "The twenty most viewed. Worked out every ten minutes.");
  return { title: "Popular", content: [heading("Popular"), note, list(posts, "Nothing has been read yet.")] };
}

export async function post(id: string): Promise<View> {
  const [found] = await Promise.all([api.post(id), accountKnown()]);
  return { title: found.title, content: [back(), article(found)] };
}

export async function user(id: string): Promise<View> {
  const [profile, posts] = await Promise.all([api.user(id), api.postsOf(id)]);
  const top = make(
    "header",
    { class: "profile" },
    portrait(profile),
    make("div", {}, heading(profile.name), make("p", { class: "facts" }, "Joined ", moment(profile.created_at))),
  );
  return { title: profile.name, content: [back(), top, list(posts, "Has not written anything yet.")] };
}

export function problem(message: string): View {
  return {
    title: "Social",
    content: [make("div", { class: "card" }, heading("That did not work"), make("p", {}, message)), back()],
  };
}

function heading(text: string, quiet = false): HTMLElement {
  return make("h1", { tabindex: "-1", class: quiet ? "hidden" : "" }, text);
}

function back(): HTMLElement {
  return make("p", {}, make("a", { class: "back", href: "#/" }, "← All posts"));
}

function list(posts: readonly Post[], empty: string): HTMLElement {
  if (posts.length === 0) return make("p", { class: "empty" }, empty);
  return make("ol", { class: "posts" }, ...posts.map((one) => make("li", {}, teaser(one))));
}

/** Without a byline in the list of one user. */
function teaser(shown: Post): HTMLElement {
  return make(
    "article",
    { class: "card", "data-post": shown.id },
    shown.author === undefined ? null : byline(shown, shown.author),
    make("h2", {}, make("a", { href: `#/posts/${shown.id}` }, shown.title)),
    make("p", { class: "excerpt" }, shown.content),
    shown.author === undefined ? facts(shown) : null,
  );
}

function article(shown: Post): HTMLElement {
  const element = make(
    "article",
    { class: "card whole", "data-post": shown.id },
    shown.author === undefined ? null : byline(shown, shown.author),
    heading(shown.title),
    make("p", { class: "content" }, shown.content),
  );
  if (shown.author !== undefined && shown.author.id === account()?.id) {
    const change = make("button", { type: "button", class: "quiet" }, "Edit");
    change.addEventListener("click", () => element.replaceWith(editor(shown, element)));
    element.append(make("div", { class: "actions" }, change));
  }
  return element;
}

function editor(shown: Post, before: HTMLElement): HTMLElement {
  const title = make("input", { id: "edit-title", name: "title", maxlength: "120", value: shown.title });
  const content = make(
    "textarea",
    { id: "edit-content", name: "content", maxlength: "2000", rows: "10" },
    shown.content,
  );
  const cancel = make("button", { type: "button", class: "quiet" }, "Cancel");
  const form = make(
    "form",
    { class: "card", novalidate: true },
    make("h1", {}, "Edit your post"),
    make("div", { class: "field" }, make("label", { for: title.id }, "Title"), title),
    make("div", { class: "field" }, make("label", { for: content.id }, "Post"), content),
    make(
      "div",
      { class: "actions" },
      make("p", { class: "problem", role: "alert" }),
      cancel,
      make("button", {}, "Save"),
    ),
  );
  cancel.addEventListener("click", () => form.replaceWith(before));
  onSubmit(form, async () => {
    form.replaceWith(article(await api.edit(shown.id, { title: title.value, content: content.value })));
    announce("Your post is changed.");
  });
  queueMicrotask(() => title.focus());
  return form;
}
