/**
 * The page of a worker: asks once a second what there is, while somebody looks, and shows it. Filters stand in the address, so that a
 * reload or a link shows the same.
 */
import * as api from "./api.ts";
import { showDetails } from "./details.ts";
import { find, make } from "./dom.ts";
import { showJobs } from "./list.ts";
import { showQueues } from "./queues.ts";

const intervalMilliseconds = 1_000;
/** A search through a long queue is work for its store: a tenth of the time at most. */
const restPerQuestion = 9;
const saidMilliseconds = 4_000;
const form = find("#filter", HTMLFormElement);
const dialog = find("#details", HTMLDialogElement);

/** Pages of the list that are shown: one more at each "Show more". */
let pagesShown = 1;
let shown: readonly api.Job[] = [];
let opened: string | undefined;
/** What the drawer shows, so that it is drawn anew only when there is something new. */
let drawn: string | undefined;
let queueNames = "";

async function refresh(): Promise<void> {
  try {
    const [{ worker, queues, now }] = await Promise.all([api.overview(), refreshJobs()]);
    const { instance, version, slotsUsed, slotsMax } = worker;
    find("#worker", HTMLElement).textContent = `${instance}, ${slotsUsed} of ${slotsMax} slots busy, scale ${version}`;
    showQueues(queues, Date.parse(now), (order, queue) => void steer(order, queue, []));
    if (opened !== undefined) await open(opened);
    nameQueues(queues.map(({ queue }) => queue));
    live("live", "live");
  } catch (error) {
    live("stale", `not reachable: ${error instanceof Error ? error.message : String(error)}`);
  }
}

async function refreshJobs(): Promise<void> {
  const jobs: api.Job[] = [];
  let next: string | undefined;
  for (let page = 0; page === 0 || (page < pagesShown && next !== undefined); page++) {
    const asked = filter();
    if (next !== undefined) asked.set("cursor", next);
    const listed = await api.list(asked);
    jobs.push(...listed.jobs);
    next = listed.next;
  }
  shown = jobs;
  showJobs(jobs, Date.now(), (id) => void open(id));
  find("#more", HTMLElement).hidden = next === undefined;
  find("#retry-shown", HTMLElement).hidden = filter().get("state") !== "discarded" || jobs.length === 0;
}

async function open(id: string): Promise<void> {
  try {
    opened = id;
    const job = await api.details(id);
    if (opened !== id || drawn === JSON.stringify(job)) return;
    drawn = JSON.stringify(job);
    showDetails(job, (order) => void steer(order, job.queue, [id]));
  } catch (error) {
    dialog.close();
    say(error instanceof Error ? error.message : String(error));
  }
}

async function steer(order: api.Order, queue: string, ids: readonly string[]): Promise<void> {
  try {
    const outcomes = await api.steer(order, queue, ids);
    const counted = Object.entries(Object.groupBy(outcomes, (outcome) => outcome));
    say(
      ids.length === 0
        ? `queue ${queue}: ${order}d`
        : counted.map(([outcome, all]) => `${all!.length} ${outcome}`).join(", "),
    );
    if (order === "discard") dialog.close();
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
  }
  await refresh();
}

async function retryShown(): Promise<void> {
  for (const [queue, jobs] of Map.groupBy(shown, (job) => job.queue)) {
    await steer(
      "retry",
      queue,
      jobs.map(({ id }) => id),
    );
  }
}

function filter(): URLSearchParams {
  const fields = [...new FormData(form)].map(([name, value]) => [name, String(value)] as const);
  return new URLSearchParams(fields.filter(([, value]) => value !== "").map(([name, value]) => [name, value]));
}

/** The choice of queues follows the queues there are, and keeps what was chosen. */
function nameQueues(names: readonly string[]): void {
  if (names.join() === queueNames) return;
  queueNames = names.join();
  const select = find("select[name=queue]", HTMLSelectElement);
  const wanted = select.value || new URLSearchParams(location.hash.slice(1)).get("queue") || "";
  const any = make("option", "", "any");
  any.value = "";
  select.replaceChildren(any, ...names.map((name) => make("option", "", name)));
  select.value = names.includes(wanted) ? wanted : "";
}

function live(state: "live" | "stale", text: string): void {
  document.body.className = `is-${state}`;
  find("#live-text", HTMLElement).textContent = text;
}

let silence: ReturnType<typeof setTimeout> | undefined;

function say(text: string): void {
  const said = find("#said", HTMLElement);
  said.textContent = text;
  said.hidden = false;
  clearTimeout(silence);
  silence = setTimeout(() => (said.hidden = true), saidMilliseconds);
}

function begin(): void {
  const address = new URLSearchParams(location.hash.slice(1));
  const queue = address.get("queue");
  // Before it is known which queues there are: what is listed first is filtered too.
  if (queue !== null) nameQueues([queue]);
  for (const [name, value] of address) {
    const field = form.elements.namedItem(name);
    if (field instanceof HTMLInputElement || field instanceof HTMLSelectElement) field.value = value;
  }
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", () => {
    pagesShown = 1;
    history.replaceState(null, "", `#${filter()}`);
    void refreshJobs().catch(() => undefined);
  });
  find("#more", HTMLElement).addEventListener("click", () => {
    pagesShown++;
    void refreshJobs().catch(() => undefined);
  });
  find("#retry-shown", HTMLElement).addEventListener("click", () => void retryShown());
  find("#close", HTMLElement).addEventListener("click", () => dialog.close());
  // A click beside the drawer is on the dialog itself.
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => void (opened = drawn = undefined));
  void watch();
}

/** One question at a time, and the rarer the more it costs; none while nobody looks. */
async function watch(): Promise<void> {
  for (;;) {
    const asked = performance.now();
    if (!document.hidden) await refresh();
    const took = performance.now() - asked;
    await new Promise((resolve) => setTimeout(resolve, Math.max(intervalMilliseconds, restPerQuestion * took)));
  }
}

begin();
