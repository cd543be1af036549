/** The table of jobs that pass the filter, brought up to date in place. */
import type { Job } from "./api.ts";
import { arrange, button, find, make, setText } from "./dom.ts";
import { relative } from "./time.ts";

interface Row {
  readonly element: HTMLTableRowElement;
  readonly state: HTMLElement;
  readonly attempts: HTMLElement;
  readonly since: HTMLElement;
  readonly reason: HTMLElement;
}

let rows = new Map<string, Row>();

/** `open` is called with the id of a job that was chosen. */
export function showJobs(jobs: readonly Job[], now: number, open: (id: string) => void): void {
  const fresh = new Map<string, Row>();
  for (const job of jobs) {
    const row = rows.get(job.id) ?? newRow(job, open);
    update(row, job, now);
    fresh.set(job.id, row);
  }
  rows = fresh;
  arrange(
    find("#jobs tbody", HTMLTableSectionElement),
    [...fresh.values()].map(({ element }) => element),
  );
  find("#no-jobs", HTMLElement).hidden = jobs.length > 0;
}

function newRow(job: Job, open: (id: string) => void): Row {
  const state = make("span", "");
  const attempts = make("td", "number");
  const since = make("td", "number");
  const reason = make("td", "");
  const id = button(job.id, "id", () => open(job.id));
  const cells = [make("td", "", state), make("td", "", job.job), make("td", "", id), attempts, since, reason];
  const element = make("tr", "", ...cells);
  element.addEventListener("click", () => open(job.id));
  return { element, state, attempts, since, reason };
}

function update(row: Row, job: Job, now: number): void {
  setText(row.state, job.state, `state state-${job.state}`);
  setText(row.attempts, String(job.attempts));
  setText(row.since, relative(job.at, now));
  const why = job.waitsFor === undefined ? (job.reason ?? "") : `waits for a place at ${job.waitsFor}`;
  setText(row.reason, why);
  row.reason.title = why;
}
