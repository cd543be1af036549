/** The page: which view an address shows, and what happens around it. */
import { onAccount, startAccount } from "./account.ts";
import { api, Failed, onServed } from "./api.ts";
import { follow } from "./arrivals.ts";
import { announce, find, make } from "./dom.ts";
import { onSubmit, reset } from "./form.ts";
import * as views from "./views.ts";

const place = find("#view", HTMLElement);
const composer = find("#composer", HTMLFormElement);

/** Counts what was started, so that a slow answer does not replace a newer one. */
let viewStarted = 0;
let accountStarted = 0;
/** Whose draft the composer holds. */
let drafting = "";

const answered = new Map<string, number>();

onServed((app) => {
  answered.set(app, (answered.get(app) ?? 0) + 1);
  find("#served", HTMLElement).hidden = false;
  const apps = [...answered].toSorted(([a], [b]) => a.localeCompare(b, "en", { numeric: true }));
  find("#served-by", HTMLElement).replaceChildren(
    ...apps.map(([name, times]) => make("span", { class: name === app ? "app last" : "app" }, `${name} × ${times}`)),
  );
});

onAccount((account) => {
  const mine = ++accountStarted;
  void follow(account, () => accountStarted === mine);
  if (account !== null && account.id !== drafting) {
    reset(composer); // a draft outlives a session that has ended, and is shown to nobody else
    drafting = account.id;
  }
  // Whether a post may be changed depends on who looks; what is being changed right now stays.
  if (document.body.dataset.view === "posts" && place.querySelector("form") === null) void render();
});

onSubmit(composer, async (values) => {
  await api.publish({ title: values.title ?? "", content: values.content ?? "" });
  reset(composer);
  announce("Your post is published.");
  if (location.hash !== "" && location.hash !== "#/") history.pushState(null, "", "#/");
  await render();
  place.querySelector<HTMLElement>("h2 a")?.focus();
});

window.addEventListener("hashchange", () => void render(true));
// The list already shown is asked for again.
document.querySelector("nav")?.addEventListener("click", ({ target }) => {
  if (target instanceof HTMLAnchorElement && target.hash === location.hash) void render();
});

find(".skip", HTMLAnchorElement).addEventListener("click", (event) => {
  event.preventDefault(); // the address names a view, not a place in it
  find("#main", HTMLElement).focus();
});

await Promise.all([startAccount(), render()]);

/** Shows what the address names. After a step to another view its heading takes the focus, as a new page would. */
async function render(moved = false): Promise<void> {
  const mine = ++viewStarted;
  place.setAttribute("aria-busy", "true");
  const view = await wanted().catch(failure);
  if (viewStarted !== mine) return;
  place.replaceChildren(...view.content);
  place.removeAttribute("aria-busy");
  document.title = view.title === "Social" ? "Social" : `${view.title} · Social`;
  frame();
  if (!moved) return;
  scrollTo({ top: 0 });
  place.querySelector("h1")?.focus({ preventScroll: true });
}

function wanted(): Promise<views.View> {
  const [, kind = "", id = ""] = location.hash.split("/");
  if (kind === "popular") return views.popular();
  if (kind === "posts") return views.post(id);
  if (kind === "users") return views.user(id);
  return views.newest();
}

function failure(error: unknown): views.View {
  return views.problem(error instanceof Failed ? error.message : "Something went wrong on this page. Reload it.");
}

/** The parts around the view that depend on it. */
function frame(): void {
  const [, kind = ""] = location.hash.split("/");
  document.body.dataset.view = kind === "" ? "newest" : kind;
  for (const link of document.querySelectorAll<HTMLAnchorElement>("nav a")) {
    if (link.dataset.list === document.body.dataset.view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}
