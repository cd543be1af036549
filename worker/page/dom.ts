/** Building and finding elements of the page. Text only ever becomes a text node: nothing in a job is read as markup. */

type Child = Node | string;

export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className: string,
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  if (className !== "") element.className = className;
  element.append(...children);
  return element;
}

/** What index.html promises to contain. */
export function find<E extends Element>(selector: string, kind: new () => E): E {
  const element = document.querySelector(selector);
  if (element instanceof kind) return element;
  throw new Error(`index.html has no ${kind.name} at ${selector}`);
}

export function button(text: string, className: string, onClick: () => void): HTMLButtonElement {
  const made = make("button", className, text);
  made.type = "button";
  made.addEventListener("click", (event) => {
    event.stopPropagation();
    onClick();
  });
  return made;
}

/** Changes an element only where there is a change: what a person selects or points at stays. */
export function setText(element: Element, text: string, className = element.className): void {
  if (element.textContent !== text) element.textContent = text;
  if (element.className !== className) element.className = className;
}

/** Brings the rows of a table body into this order, and removes others. */
export function arrange(body: Element, rows: readonly Element[]): void {
  const wanted = new Set(rows);
  for (const row of Array.from(body.children).filter((one) => !wanted.has(one))) row.remove();
  for (const [index, row] of rows.entries())
    if (body.children[index] !== row) body.insertBefore(row, body.children[index] ?? null);
}
