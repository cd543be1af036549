/** Who is signed in on this page: the header and its menu, the dialogs for signing up and in, and everyone who wants to know when it changes. */
import { type Account, api, Failed, onRefusedSession } from "./api.ts";
import { startDevices } from "./devices.ts";
import { announce, find } from "./dom.ts";
import { onSubmit, reset, type Send } from "./form.ts";

let current: Account | null = null;
const { promise: known, resolve: nowKnown } = Promise.withResolvers<void>();
const listeners: ((account: Account | null) => void)[] = [];

export function account(): Account | null {
  return current;
}

/** Resolves when it is known for the first time whether anyone is signed in. */
export function accountKnown(): Promise<void> {
  return known;
}

export function onAccount(listener: (account: Account | null) => void): void {
  listeners.push(listener);
}

/** Finds out who is signed in, and wires the header and the dialogs. */
export async function startAccount(): Promise<void> {
  const menu = find("#account-menu", HTMLElement);
  menu.addEventListener("click", () => menu.hidePopover());
  closable(find("#devices", HTMLDialogElement));
  startDevices();
  dialog("signup", async (values) => become(await api.signup(values)));
  dialog("login", async (values) => become(await api.login(values)));
  for (const opener of document.querySelectorAll<HTMLElement>("[data-opens]")) {
    opener.addEventListener("click", () => open(opener.dataset.opens ?? ""));
  }
  find("#logout", HTMLButtonElement).addEventListener("click", () => void logout());
  onRefusedSession(() => {
    if (current === null) return;
    become(null);
    open("login");
  });
  become(await api.me().catch(nobody));
  nowKnown();
}

function nobody(error: unknown): null {
  if (error instanceof Failed) return null;
  throw error;
}

function become(next: Account | null): void {
  current = next;
  for (const element of document.querySelectorAll<HTMLElement>(".signed-in")) element.hidden = next === null;
  for (const element of document.querySelectorAll<HTMLElement>(".signed-out")) element.hidden = next !== null;
  find("#my-name", HTMLElement).textContent = next?.name ?? "";
  find("#my-posts", HTMLAnchorElement).href = next === null ? "#/" : `#/users/${next.id}`;
  for (const listener of listeners) listener(next);
}

async function logout(): Promise<void> {
  try {
    await api.logout();
  } catch (error) {
    if (!(error instanceof Failed)) throw error;
    return announce(`You are still logged in. ${error.message}`);
  }
  become(null);
  announce("You are logged out.");
  find("[data-opens=login]", HTMLButtonElement).focus();
}

function open(name: string): void {
  for (const other of document.querySelectorAll("dialog")) other.close();
  find(`#${name}`, HTMLDialogElement).showModal();
}

function dialog(name: string, send: Send): void {
  const box = find(`#${name}`, HTMLDialogElement);
  const form = find("form", HTMLFormElement, box);
  onSubmit(form, async (values) => {
    await send(values);
    box.close();
    announce(`Welcome, ${current?.name ?? ""}.`);
  });
  box.addEventListener("close", () => reset(form));
  closable(box);
}

function closable(box: HTMLDialogElement): void {
  find(".close", HTMLButtonElement, box).addEventListener("click", () => box.close());
  box.addEventListener("click", (event) => {
    if (event.target === box) box.close(); // the backdrop
  });
}
