/** `scale lb status` for a person: a table a service, and what was changed live. Pure. */
import type { ServiceStatus, Status } from "../../ops/control_protocol.ts";

const columns = ["target", "weight", "state", "in flight", "requests", "why"] as const;

export function statusTable({ listen, pid, version, config, services, differs }: Status): string {
  const head = `balancer ${pid} on ${listen}, version ${version}${config === undefined ? "" : `, ${config}`}`;
  const tables = services.map((service) => [titleOf(service), ...rowsOf(service)].join("\n"));
  const live =
    differs.length === 0
      ? []
      : [["changed live, undone by a reload:", ...differs.map((line) => `  ${line}`)].join("\n")];
  return [head, ...tables, ...live].join("\n\n");
}

function titleOf({ name, isPaused, waiting }: ServiceStatus): string {
  const notes = [...(isPaused ? ["paused"] : []), ...(waiting > 0 ? [`${waiting} requests wait`] : [])];
  return `service ${name}${notes.length > 0 ? ` (${notes.join(", ")})` : ""}`;
}

function rowsOf({ targets }: ServiceStatus): readonly string[] {
  const cells = targets.map(({ name, weight, state, requestsInFlight, requests, reason }) =>
    [name, weight, state, requestsInFlight, requests, reason].map(String),
  );
  const widths = columns.map((title, column) => Math.max(title.length, ...cells.map((row) => row[column]!.length)));
  return [[...columns], ...cells].map((row) =>
    `  ${row.map((cell, column) => cell.padEnd(widths[column]!)).join("  ")}`.trimEnd(),
  );
}
