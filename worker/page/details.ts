/** One job in full, in a drawer at the side: facts, payload, history, and what can be done with it. */
import type { Details, Order } from "./api.ts";
import { button, find, make } from "./dom.ts";

/** The orders that mean something in a state. */
const possible: { readonly [state: string]: readonly Order[] } = {
  available: ["cancel"],
  scheduled: ["retry", "cancel"],
  retryable: ["retry", "cancel"],
  running: ["cancel"],
  cancelled: ["retry"],
  discarded: ["retry", "discard"],
};
const words: { readonly [order: string]: string } = {
  retry: "Retry now",
  cancel: "Cancel",
  discard: "Discard for good",
};

export function showDetails(job: Details, steer: (order: Order) => void): void {
  find("#details-heading", HTMLElement).textContent = job.job;
  find("#facts", HTMLElement).replaceChildren(facts(job), ...values(job), ...history(job));
  const orders = (possible[job.state] ?? []).map((order) =>
    button(words[order] ?? order, order === "retry" ? "" : "danger", () => steer(order)),
  );
  find("#orders", HTMLElement).replaceChildren(...orders);
  const dialog = find("#details", HTMLDialogElement);
  if (!dialog.open) dialog.showModal();
}

function facts(job: Details): HTMLElement {
  const known: readonly (readonly [string, Node | string | undefined])[] = [
    ["State", make("span", `state state-${job.state}`, job.cancelling ? `${job.state}, told to stop` : job.state)],
    ["Id", job.id],
    ["Queue", job.queue],
    ["Attempts", String(job.attempts)],
    ["Enqueued", job.enqueuedAt && moment(job.enqueuedAt)],
    [job.state === "scheduled" || job.state === "retryable" ? "Due" : "Since", moment(job.at)],
    ["Took", job.durationMs === undefined ? undefined : `${job.durationMs} ms`],
    ["Worker", job.worker],
    ["Priority", job.priority],
    ["Unique key", job.unique],
    ["Limits", job.gates],
    ["Waits for", job.waitsFor],
    ["Reason", job.reason],
  ];
  const list = make("dl", "");
  for (const [name, value] of known) if (value !== undefined) list.append(make("dt", "", name), make("dd", "", value));
  return list;
}

function values({ payload, progress, result }: Details): Node[] {
  const named = { Progress: progress, Result: result, Payload: payload };
  return Object.entries(named).flatMap(([name, value]) =>
    value === undefined ? [] : [make("h3", "", name), make("pre", "", JSON.stringify(value, undefined, 2))],
  );
}

function history({ history: events }: Details): Node[] {
  if (events.length === 0) return [];
  const items = events.toReversed().map(({ at, to, attempt, reason, times }) => {
    const often = times === undefined ? "" : `, ${times} times`;
    return make("li", "", moment(at), ` ${to}, attempt ${attempt}${often}: ${reason}`);
  });
  return [make("h3", "", "History"), make("ol", "", ...items)];
}

function moment(time: string): HTMLElement {
  const element = make("time", "", new Date(time).toLocaleString());
  element.dateTime = time;
  return element;
}
