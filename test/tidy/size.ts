// Files and functions stay small enough to be read at once; what is longer for a reason is listed with it.
// Invariant: the list holds no entry that is no longer needed.

import { type Rule, type Source } from "./source.ts";

const fileLinesMax = 300;
/** A test file is a list of promises, read one at a time. */
const testFileLinesMax = 400;
const functionLinesMax = 70;

/** Path, or path:function → why it reads better whole. */
export type Reasons = { readonly [what: string]: string };

interface Measured {
  readonly what: string;
  readonly lines: number;
  readonly max: number;
}

export function sizeLimits(reasons: Reasons): Rule {
  return (sources) => {
    const measured = sources.filter(({ path }) => /\.(ts|mjs)$/.test(path)).flatMap(measure);
    const over = measured.filter(({ lines, max }) => lines > max);
    const needless = Object.keys(reasons).filter((what) => !over.some((one) => one.what === what));
    return [
      ...over
        .filter(({ what }) => reasons[what] === undefined)
        .map(
          ({ what, lines, max }) =>
            `${what} has ${lines} lines, more than ${max}: split it by concept, or give a reason in the list`,
        ),
      ...needless.map((what) => `${what} is listed as long, and is not: take it off the list`),
    ];
  };
}

function measure(source: Source): Measured[] {
  const lines = source.text.split("\n");
  return [
    { what: source.path, lines: lines.length - 1, max: isSuite(source.path) ? testFileLinesMax : fileLinesMax },
    ...functionsOf(lines).map(({ name, length }) => ({
      what: `${source.path}:${name}`,
      lines: length,
      max: functionLinesMax,
    })),
  ];
}

// The formatter puts a body's closing brace at the margin of the line that opened it.
function functionsOf(lines: readonly string[]): { name: string; length: number }[] {
  return lines.flatMap((line, start) => {
    const name = opened(lines, start);
    if (name === undefined) return [];
    const margin = /^ */.exec(line)?.[0] ?? "";
    const length = lines.slice(start + 1).findIndex((later) => later.startsWith(`${margin}}`));
    const body = lines.slice(start + 1, start + 1 + length);
    // What only registers tests is a list of functions, not one.
    return body.some((inner) => /^ *(test|describe)(\.\w+)?\(/.test(inner)) ? [] : [{ name, length }];
  });
}

function isSuite(path: string): boolean {
  return /^test\/(contract|scenario|unit|wire)\//.test(path);
}

const statement = /^\s*(if|for|while|switch|do|try|else|\}|class|export class|interface|export interface)\b/;

/** Name of the function whose body this line opens, or undefined. */
function opened(lines: readonly string[], at: number): string | undefined {
  const line = lines[at] ?? "";
  if (!line.endsWith("{") || statement.test(line)) return undefined;
  if (!/(\)|\)\s*:[^=]*|=>) \{$/.test(line)) return undefined;
  for (let above = at; above >= Math.max(0, at - 12); above--) {
    const name = /(?:function\*?|async|get|set|static|const|let)\s+(#?\w+)|^\s*(#?\w+)\(|^\s*(\w+):/.exec(
      lines[above] ?? "",
    );
    const found = name?.[1] ?? name?.[2] ?? name?.[3];
    if (found !== undefined) return found;
  }
  return `line ${at + 1}`;
}
