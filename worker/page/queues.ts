/** The table of queues: a row each, brought up to date in place. */
import type { Queue } from "./api.ts";
import { arrange, button, find, make, setText } from "./dom.ts";
import { linePath, rates, type Sample, withSample } from "./rates.ts";
import { perSecond, relative } from "./time.ts";

interface Row {
  readonly element: HTMLTableRowElement;
  readonly cells: readonly HTMLTableCellElement[];
  readonly line: SVGPathElement;
  readonly order: HTMLButtonElement;
  samples: readonly Sample[];
  queue: Queue;
}

const rows = new Map<string, Row>();

/** `steer` pauses or resumes a queue. */
export function showQueues(
  queues: readonly Queue[],
  now: number,
  steer: (order: "pause" | "resume", queue: string) => void,
): void {
  const body = find("#queues tbody", HTMLTableSectionElement);
  const shown = queues.map((queue) => {
    const row = rows.get(queue.queue) ?? newRow(queue, steer);
    rows.set(queue.queue, row);
    update(row, queue, now);
    return row.element;
  });
  arrange(body, shown);
  find("#no-queues", HTMLElement).hidden = queues.length > 0;
}

function newRow(queue: Queue, steer: (order: "pause" | "resume", queue: string) => void): Row {
  const cells = Array.from({ length: 8 }, () => make("td", "number"));
  const picture = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  picture.setAttribute("viewBox", "0 0 60 20");
  picture.setAttribute("preserveAspectRatio", "none");
  picture.setAttribute("class", "line");
  picture.setAttribute("aria-hidden", "true");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
  picture.append(line);
  const order = button("Pause", "quiet", () =>
    steer(row.queue.pausedAt === undefined ? "pause" : "resume", queue.queue),
  );
  const name = make("th", "", queue.queue);
  name.scope = "row";
  const element = make("tr", "", name, ...cells, make("td", "", picture), make("td", "number", order));
  const row: Row = { element, cells, line, order, samples: [], queue };
  return row;
}

function update(row: Row, queue: Queue, now: number): void {
  const { counts } = queue;
  const sample = { atMs: now, completed: counts.completed, failed: counts.retried + counts.discarded };
  row.queue = queue;
  row.samples = withSample(row.samples, sample);
  const { completed, failed } = rates(row.samples);
  const oldest = queue.oldestWaitingAt === undefined ? "" : relative(queue.oldestWaitingAt, now).replace(" ago", "");
  const numbers = [queue.waiting, queue.parked, queue.running, queue.delayed, queue.dead];
  for (const [index, number] of numbers.entries()) {
    const alarming = index === 4 && number > 0 ? "wrong" : "";
    setText(row.cells[index]!, number.toLocaleString("en"), `number ${number === 0 ? "zero" : alarming}`.trimEnd());
  }
  setText(row.cells[5]!, oldest);
  setText(row.cells[6]!, perSecond(completed));
  setText(row.cells[7]!, perSecond(failed), failed > 0 ? "number wrong" : "number zero");
  row.line.setAttribute("d", linePath(row.samples));
  const paused = queue.pausedAt !== undefined;
  setText(row.order, paused ? "Resume" : "Pause", paused ? "" : "quiet");
}
