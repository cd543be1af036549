// The files that the tidy rules look at, and what a rule is: from files to complaints, each saying where the thing belongs instead.

import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";

export interface Source {
  /** Relative to the repository: src/std/errors.ts. */
  readonly path: string;
  readonly text: string;
}

export type Rule = (sources: readonly Source[]) => readonly string[];

export const root = resolve(import.meta.dir, "../..");
const folders = ["src", "lb", "worker", "demo", "test", "tools", "docs"];

/** Everything that people wrote: code, documents, settings; not what is installed, built or made by a test. */
export function repository(): readonly Source[] {
  const top = readdirSync(root, { withFileTypes: true }).filter((entry) => entry.isFile());
  const paths = [
    ...top.map((entry) => entry.name).filter((name) => /\.(md|json|toml)$/.test(name) && name !== "package-lock.json"),
    ...new Bun.Glob(`{${folders.join(",")}}/**/*`).scanSync({ cwd: root }),
    ".ci/run",
    ".oxlintrc.json",
  ];
  return paths
    .filter(isText)
    .toSorted()
    .map((path) => ({ path, text: readFileSync(join(root, path), "utf8") }));
}

/** Code that ships. */
export function isProduct(path: string): boolean {
  return /^(src|lb|worker|demo)\//.test(path) && path.endsWith(".ts") && !path.endsWith(".d.ts");
}

function isText(path: string): boolean {
  return !path.startsWith("test/artifacts/") && !/\.(png|jpg|gz|ico|woff2)$/.test(path);
}
