// Words with one home, and words with none. Looked for in the code without its comments.

import { isProduct, type Rule, type Source } from "./source.ts";

interface Token {
  readonly word: RegExp;
  /** Files where it may stand; none: nowhere. */
  readonly home?: RegExp;
  /** Files the rule is about; all that ship unless said. */
  readonly within?: RegExp;
  readonly instead: string;
}

const tokens: readonly Token[] = [
  {
    word: /\bBun\.(listen|connect)\b/,
    home: /^src\/io\//,
    instead: "src/io: listen() and connect() open every raw socket",
  },
  { word: /\bBun\.(spawn|spawnSync|\$)\b/, home: /^src\/io\//, instead: "src/io/spawn.ts starts every child" },
  {
    word: /\bBun\.serve\b/,
    home: /^(src\/(app\/main|ops\/admin)\.ts$|lb\/admin\/)/,
    instead: "a route of src/app, or src/ops/admin.ts",
  },
  { word: /\bnew Worker\b/, home: /^worker\/heartbeat\.ts$/, instead: "worker/heartbeat.ts, the one other thread" },
  // An application has settings of its own.
  { word: /\bprocess\.env\b/, home: /^(src\/config|demo)\//, instead: "an option in src/config/options.ts" },
  { word: /\bprocess\.exit\b/, home: /^src\/(main\.ts|cli\/)/, instead: "throw, or resolve run() with the exit code" },
  {
    word: /\bconsole\./,
    home: /^demo\/social\/page\//,
    instead: "log of src/ops/log.ts; in src/cli process.stdout.write",
  },
  {
    word: /\b(Date\.now|performance\.now|new Date\(\)|setTimeout|setInterval)\b/,
    within: /^src\/wire\//,
    instead: "the caller: wire reads no clock",
  },
  { word: /\bfetch\(/, within: /^lb\/(?!health\/|admin\/)/, instead: "lb/upstream: the data path never uses fetch" },
];

export const tokenHomes: Rule = (sources) =>
  sources
    .filter(({ path }) => isProduct(path))
    .flatMap((source) => {
      const code = codeOf(source);
      return tokens
        .filter(
          ({ word, home, within }) =>
            (within?.test(source.path) ?? true) && !home?.test(source.path) && word.test(code),
        )
        .map(({ word, instead }) => `${source.path} uses ${word.exec(code)?.[0]}: it belongs in ${instead}`);
    });

const commentOrText = /\/\*[\s\S]*?\*\/|\/\/[^\n]*|"(?:[^"\\\n]|\\.)*"/g;

/** The code without its comments and plain strings; what stands in `${…}` is code. */
function codeOf({ text }: Source): string {
  return text.replaceAll(commentOrText, (found) => (found.startsWith('"') ? '""' : ""));
}

/** Unfinished work is an entry in the tracker, not a word in a file. */
export const nothingUnfinished: Rule = (sources) =>
  sources
    .filter(({ path }) => path !== "test/tidy/tokens.ts" && path !== "test/tidy.test.ts")
    .filter(({ text }) => /\b(TODO|FIXME|XXX)\b|@ts-(ignore|nocheck)/.test(text))
    .map(({ path }) => `${path} has unfinished work marked: finish it, or say in the file why it is right as it is`);

/**
 * Bun's limit of five seconds counts for hooks too, and no setting but the file's own reaches it: a slow machine must not fail a test
 * whose servers take six seconds to start.
 */
export const patientTests: Rule = (sources) =>
  sources
    .filter(({ path }) => path.endsWith(".test.ts"))
    .filter(({ text }) =>
      /^(import|\}).* from "\.\.\/harness\/(process|cluster|postgres|redis|embedded|browser|person)\.ts"/m.test(text),
    )
    .filter(({ text }) => !text.includes("\nsetDefaultTimeout("))
    .map(({ path }) => `${path} starts processes: after its imports it must say setDefaultTimeout(60_000)`);

/** A name that says nothing about its content collects everything. */
export const tellingNames: Rule = (sources) =>
  sources
    .filter(({ path }) => /(^|[/_])(utils?|helpers?|commons?|managers?|misc)([/_.]|$)/i.test(path))
    .map(({ path }) => `${path}: name the file by the word one would search for`);
