/** The dialog that shows where one is signed in, and ends it there. */
import { api, type Device, Failed } from "./api.ts";
import { announce, find, make } from "./dom.ts";
import { moment } from "./show.ts";
import { nameOf } from "./user_agent.ts";

/** Counts the lists asked for, so that a slow answer does not replace a newer one. */
let asked = 0;

export function startDevices(): void {
  find("[data-opens=devices]", HTMLButtonElement).addEventListener("click", () => {
    show([]);
    void attempt(list);
  });
  elsewhere().addEventListener("click", () => void attempt(logoutElsewhere));
}

function elsewhere(): HTMLButtonElement {
  return find("#elsewhere", HTMLButtonElement);
}

async function list(): Promise<void> {
  const mine = ++asked;
  const devices = await api.devices();
  if (mine === asked) show(devices);
}

function show(devices: readonly Device[]): void {
  find("#devices .devices", HTMLUListElement).replaceChildren(...devices.map(place));
  elsewhere().hidden = devices.length < 2;
}

function place(device: Device): HTMLElement {
  const name = nameOf(device.userAgent);
  const seen = device.isCurrent ? make("span", {}, "This device") : make("span", {}, moment(device.seen));
  const facts = make("p", { class: "facts" }, seen, make("span", {}, device.ip));
  const text = make("div", {}, make("p", { class: "device", title: device.userAgent }, name), facts);
  return make("li", {}, text, device.isCurrent ? null : end(device, name));
}

function end(device: Device, name: string): HTMLElement {
  const button = make("button", { type: "button", class: "quiet", "aria-label": `Log out ${name}` }, "Log out");
  button.addEventListener("click", () => {
    button.disabled = true;
    void attempt(async () => {
      await api.logoutDevice(device.id);
      announce(`${name} is logged out.`);
      find("#devices h2", HTMLElement).focus();
    });
  });
  return button;
}

async function logoutElsewhere(): Promise<void> {
  await api.logoutElsewhere();
  announce("You are logged out everywhere else.");
  find("#devices h2", HTMLElement).focus();
}

/** Does it, says what went wrong, and shows what is true now. */
async function attempt(action: () => Promise<void>): Promise<void> {
  const problem = find("#devices .problem", HTMLElement);
  problem.textContent = "";
  try {
    await action();
    if (action !== list) await list();
  } catch (error) {
    problem.textContent = error instanceof Failed ? error.message : "Something went wrong on this page. Reload it.";
    if (action !== list) await list().catch(() => undefined);
  }
}
