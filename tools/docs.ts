// Writes the generated sections of docs/OPERATING.md from the tables in the source: `bun tools/docs.ts [--check]`.
// Not here: any prose. A section lies between <!-- generated: NAME --> and <!-- end -->.

import { optionReference } from "../src/config/help.ts";
import { metricTable } from "../src/ops/metric_table.ts";
import { errorCodes } from "../src/std/errors.ts";

const path = `${import.meta.dir}/../docs/OPERATING.md`;

const sections: { readonly [name: string]: () => string } = {
  options: optionReference,
  metrics: () =>
    table(
      ["metric", "type", "labels", "meaning"],
      Object.entries(metricTable).map(([name, metric]) => [
        `\`${name}\``,
        metric.type,
        "labels" in metric ? metric.labels.join(" ") : "",
        metric.help,
      ]),
    ),
  errors: () =>
    table(
      ["code", "whose fault", "try again", "HTTP status", "exit code"],
      Object.entries(errorCodes).map(([code, { source, retry, status, exit }]) => [
        `\`${code}\``,
        source,
        retry,
        String(status),
        String(exit),
      ]),
    ),
};

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

function render(text: string): string {
  return text.replace(
    /(<!-- generated: (\w+) -->\n)[\s\S]*?(<!-- end -->)/g,
    (_all, open: string, name: string, close: string) => {
      const section = sections[name];
      if (!section) throw new Error(`docs/OPERATING.md has a section "${name}" that nothing generates`);
      return `${open}\n${section()}\n\n${close}`;
    },
  );
}

const written = await Bun.file(path).text();
const rendered = render(written);
// The formatter aligns tables; what counts is what they say.
const same = (a: string, b: string) => a.replace(/[ -]+/g, " ") === b.replace(/[ -]+/g, " ");
if (process.argv.includes("--check")) {
  if (!same(written, rendered)) {
    process.stderr.write("docs/OPERATING.md is not what the tables say. Fix: bun tools/docs.ts && bun fmt docs\n");
    process.exit(1);
  }
} else await Bun.write(path, rendered);
