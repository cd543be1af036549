/**
 * A form that asks the API and shows its answer: each message beside its input, the rest above the button. What is valid is decided
 * by the API alone.
 */
import { Failed, sentence } from "./api.ts";
import { find, make } from "./dom.ts";

type Input = HTMLInputElement | HTMLTextAreaElement;
export type Values = { readonly [name: string]: string };
export type Send = (values: Values) => Promise<void>;

/** Calls `send` with the form's values on submit, once at a time. */
export function onSubmit(form: HTMLFormElement, send: Send): void {
  const button = find("button:not([type])", HTMLButtonElement, form);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!button.disabled) void submit(form, button, send);
  });
  form.addEventListener("input", ({ target }) => {
    if (target instanceof HTMLElement) unmark(target);
  });
}

async function submit(form: HTMLFormElement, button: HTMLButtonElement, send: Send): Promise<void> {
  button.disabled = true;
  clear(form);
  try {
    await send(valuesOf(form));
  } catch (error) {
    refuse(form, error);
  } finally {
    button.disabled = false;
  }
}

/** Empties the form of what was typed and of what was wrong with it. */
export function reset(form: HTMLFormElement): void {
  form.reset();
  clear(form);
}

function valuesOf(form: HTMLFormElement): Values {
  return Object.fromEntries(inputsOf(form).map((input) => [input.name, input.value]));
}

function refuse(form: HTMLFormElement, error: unknown): void {
  const failed = error instanceof Failed ? error : new Failed(0, "Something went wrong on this page. Reload it.");
  const wrong = inputsOf(form).filter((input) => Object.hasOwn(failed.fields, input.name));
  for (const input of wrong) mark(input, sentence(`${labelOf(input)} ${failed.fields[input.name]}`));
  if (wrong.length === 0) find(".problem", HTMLElement, form).textContent = failed.message;
  wrong[0]?.focus();
}

function mark(input: Input, message: string): void {
  const problem = make("p", { class: "problem", id: `${input.id}-problem` }, message);
  input.insertAdjacentElement("afterend", problem);
  input.setAttribute("aria-invalid", "true");
  input.setAttribute("aria-errormessage", problem.id);
  describe(input, [...described(input), problem.id]);
}

function unmark(input: HTMLElement): void {
  if (!input.hasAttribute("aria-invalid")) return;
  const problem = `${input.id}-problem`;
  document.getElementById(problem)?.remove();
  input.removeAttribute("aria-invalid");
  input.removeAttribute("aria-errormessage");
  describe(
    input,
    described(input).filter((id) => id !== problem),
  );
}

function described(input: HTMLElement): string[] {
  return (input.getAttribute("aria-describedby") ?? "").split(" ").filter((id) => id !== "");
}

function describe(input: HTMLElement, ids: readonly string[]): void {
  if (ids.length === 0) input.removeAttribute("aria-describedby");
  else input.setAttribute("aria-describedby", ids.join(" "));
}

function clear(form: HTMLFormElement): void {
  inputsOf(form).forEach(unmark);
  find("p.problem[role=alert]", HTMLElement, form).textContent = "";
}

function inputsOf(form: HTMLFormElement): readonly Input[] {
  return [...form.querySelectorAll<Input>("input, textarea")];
}

function labelOf(input: Input): string {
  return input.labels?.[0]?.textContent ?? input.name;
}
