/** Building and finding elements. Text only ever becomes a text node: nothing a user wrote is read as markup. */

type Child = Node | string | null;
type Attributes = { readonly [name: string]: string | boolean };

/** An element with attributes and children; `true` is an attribute without a value, `false` none. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** What index.html promises to contain. */
export function find<E extends HTMLElement>(selector: string, kind: new () => E, within: ParentNode = document): E {
  const element = within.querySelector(selector);
  if (!(element instanceof kind)) throw new Error(`index.html has no ${kind.name} at ${selector}`);
  return element;
}

/** Spoken by screen readers, shown nowhere. */
export function announce(message: string): void {
  find("#announce", HTMLElement).textContent = message;
}
