// What a reader must be able to find: what a file is for, every option, every metric; and nothing of the machine it was written on.

import { homedir, tmpdir } from "node:os";
import { dirname } from "node:path";

import { root, type Rule } from "./source.ts";

const roleCharactersMin = 25;

/** The opening comment states the file's role; in code, styles and migrations. A unit test is named after what it tests. */
export const opensWithRole: Rule = (sources) =>
  sources
    .filter(({ path }) => /^(src|lb|worker|demo|test|tools)\//.test(path) && !/^test\/(unit|wire)\//.test(path))
    .filter(({ path }) => /\.(ts|mjs|css|sql)$/.test(path))
    .filter(({ text }) => openingComment(text).length < roleCharactersMin)
    .map(
      ({ path }) =>
        `${path} must open with a comment: its role, its invariant, what is not in it; then a blank line, or sorting the imports moves it`,
    );

function openingComment(text: string): string {
  const comment = /^(?:\/\*[\s\S]*?\*\/|(?:\/\/[^\n]*\n)+|(?:--[^\n]*\n)+)/.exec(text)?.[0] ?? "";
  return comment.replaceAll(/[/*\n -]+/g, " ").trim();
}

/** Names that one of the documents must hold, each as a whole word. */
export function documented(kind: string, names: readonly string[]): Rule {
  return (sources) => {
    const documents = sources.filter(({ path }) => path === "README.md" || path.startsWith("docs/"));
    const text = documents.map((document) => document.text).join("\n");
    return names
      .filter((name) => !new RegExp(`(?<![\\w-])${name}(?![\\w-])`).test(text))
      .map((name) => `${kind} ${name} is in no document: describe it in docs/OPERATING.md`);
  };
}

/** A path of the machine this was written on, or a number in somebody's tracker, says nothing to any other reader. */
export const nothingLocal: Rule = (sources) => {
  const local = localPath();
  return sources.flatMap(({ path, text }) => {
    const place = local.exec(text)?.[0];
    const number = /\bissues? #?\d+\b/i.exec(text)?.[0];
    return [
      ...(place === undefined
        ? []
        : [`${path} holds the path ${place} of this machine: make it relative, or a setting`]),
      ...(number === undefined ? [] : [`${path} says "${number}": say what it is about instead`]),
    ];
  });
};

/** Where this checkout lies, what lies beside it, and this user's home; where anybody's files may be (/tmp) is no such place. */
function localPath(): RegExp {
  const places = [root, dirname(root), homedir()].filter((place) => !["/", tmpdir()].includes(place));
  return new RegExp(`(?<![\\w$*.)}-])(${places.map((place) => RegExp.escape(place)).join("|")})/`);
}
