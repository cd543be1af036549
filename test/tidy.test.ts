// The rules of the house, checked: who imports whom, which word stands where, how long things are, what is documented.
// The rules are in tidy/; here they meet the repository, and each is shown to fail on a small sample.

import { describe, expect, test } from "bun:test";

import { flagOf, type Option, options } from "../src/config/options.ts";
import { metricTable } from "../src/ops/metric_table.ts";
import { importArrows } from "./tidy/arrows.ts";
import { documented, nothingLocal, opensWithRole } from "./tidy/documents.ts";
import { type Reasons, sizeLimits } from "./tidy/size.ts";
import { repository, root, type Rule, type Source } from "./tidy/source.ts";
import { nothingUnfinished, patientTests, tellingNames, tokenHomes } from "./tidy/tokens.ts";

/** What is longer than the limit, and why it reads better whole. */
const long: Reasons = {
  "lb/exchange.ts": "the one owner of a request: its phases are understood together",
  "lb/downstream/http1.ts": "a client's connection: its states are understood together",
  "src/config/options.ts": "the table of options: one entry after another",
  "src/scale.d.ts": "the contract of one module, which scale init writes beside an entry as one file",
};

/** Those that scale gives to its own children are nobody's business. */
const optionNames = Object.entries<Option>(options).flatMap(([name, { internal }]) => (internal ? [] : [name]));

const sources = repository();

describe("the repository", () => {
  const rules: { readonly [promise: string]: Rule } = {
    "imports point down only": importArrows,
    "sockets, processes, environment and clocks have one home each": tokenHomes,
    "no file and no function is long without a reason": sizeLimits(long),
    "every file opens with its role": opensWithRole,
    "every option that a user may give is documented": documented("option", optionNames.map(flagOf)),
    "every metric is documented": documented("metric", Object.keys(metricTable)),
    "a test that starts processes gives them time": patientTests,
    "nothing is left unfinished": nothingUnfinished,
    "every file's name says what is in it": tellingNames,
    "nothing of the machine it was written on is left in it": nothingLocal,
  };
  for (const [promise, rule] of Object.entries(rules)) {
    test(promise, () => expect(rule(sources)).toEqual([]));
  }
  test("is looked at whole", () => expect(sources.length).toBeGreaterThan(100));
});

describe("a rule that cannot fail is no rule", () => {
  const complaints = (rule: Rule, path: string, text: string) => rule([{ path, text }]).join("\n");

  const forbidden: readonly (readonly [path: string, text: string, complaint: string])[] = [
    [
      "lb/a.ts",
      'import { x } from "../src/runtime/session.ts"; x;',
      "lb may import wire, io, store/kv, ops, config, std",
    ],
    ["lb/a.ts", 'import type { X } from "../src/app/main.ts";', "lb/a.ts imports src/app/main.ts"],
    ["lb/a.ts", 'import { x } from "../src/store/sql/sql.ts"; x;', "imports src/store/sql/sql.ts"],
    [
      "src/app/a.ts",
      'const x = await import("../wire/fields.ts"); x;',
      "app may import runtime, store, ops, config, std",
    ],
    ["src/app/a.ts", 'export * from "../../worker/retry.ts";', "imports worker/retry.ts"],
    ["worker/a.ts", 'import {\n  type X,\n} from "../src/app/main.ts";', "worker/a.ts imports src/app/main.ts"],
    ["src/std/a.ts", 'import type {\n  X,\n} from "../config/options.ts";', "std may import nothing else"],
    ["src/store/kv/a.ts", 'import { x } from "../../io/spawn.ts"; x;', "imports src/io/spawn.ts"],
    ["src/cli/dev.ts", 'import { x } from "../../lb/exchange.ts"; x;', "imports lb/exchange.ts"],
    ["demo/social/a.ts", 'import { x } from "../../src/runtime/cache.ts"; x;', "demo may import nothing else"],
    ["src/app/a.ts", 'import { sql } from "scale"; sql;', 'imports "scale" at run time'],
    ["src/app/a.ts", 'import { Redis } from "ioredis"; Redis;', "imports ioredis: its home is ^src"],
  ];
  test.each(forbidden)("%s: %s", (path, text, complaint) => {
    expect(complaints(importArrows, path, text)).toContain(complaint);
  });

  const allowed: readonly (readonly [path: string, text: string])[] = [
    ["lb/a.ts", 'import { x } from "../src/store/kv/kv.ts"; import { y } from "./pump.ts"; x; y;'],
    ["src/app/a.ts", 'import type { App } from "scale"; import { x } from "../runtime/cache.ts"; x;'],
    ["src/cli/dev.ts", 'const x = await import("../../lb/main.ts"); x;'],
    [
      "src/store/embedded/gate.ts",
      'import { x } from "../../io/listener.ts"; import { y } from "../sql/sql.ts"; x; y;',
    ],
    ["demo/social/a.ts", 'import { sql } from "scale"; import { x } from "./users.ts"; sql; x;'],
    ["test/a.ts", 'import { x } from "../lb/main.ts"; import { y } from "../src/std/units.ts"; x; y;'],
  ];
  test.each(allowed)("%s may: %s", (path, text) => expect(complaints(importArrows, path, text)).toBe(""));

  test.each([
    ["src/app/a.ts", "Bun.connect({});", "src/io: listen() and connect()"],
    ["lb/a.ts", "Bun.serve({});", "src/ops/admin.ts"],
    ["src/ops/log.ts", "export const x = process.env.HOME;", "an option in src/config/options.ts"],
    ["worker/main.ts", "process.exit(1);", "resolve run() with the exit code"],
    ["worker/main.ts", 'console.log("x");', "log of src/ops/log.ts"],
    ["worker/main.ts", 'new Worker("./x.ts");', "worker/heartbeat.ts"],
    ["src/wire/a.ts", "export const now = Date.now();", "wire reads no clock"],
    ["lb/exchange.ts", 'await fetch("http://upstream");', "the data path never uses fetch"],
  ])("%s: %s", (path, text, complaint) => {
    expect(complaints(tokenHomes, path, text)).toContain(complaint);
    expect(complaints(tokenHomes, path, `// ${text}\n/* ${text} */`)).toBe("");
  });

  test("a long file, a long function, and a reason nobody needs", () => {
    const rule = sizeLimits({ "src/short.ts": "was long" });
    const body = Array.from({ length: 71 }, () => "  x();\n").join("");
    const file: Source = { path: "src/a.ts", text: "x();\n".repeat(301) };
    expect(rule([file])).toEqual([
      "src/a.ts has 301 lines, more than 300: split it by concept, or give a reason in the list",
      "src/short.ts is listed as long, and is not: take it off the list",
    ]);
    const long = [
      `export async function run(\n  config: Config,\n): Promise<void> {\n${body}}\n`,
      `const run = () => {\n${body}};\n`,
      `class A {\n  async #run(): Promise<void> {\n${body.replaceAll("  x", "    x")}  }\n}\n`,
      `test("run", async () => {\n${body}});\n`,
    ];
    for (const text of long)
      expect(complaints(sizeLimits({}), "src/a.ts", text)).toContain("has 71 lines, more than 70");
    expect(complaints(sizeLimits({}), "src/a.ts", `class A {\n${body}}\nconst table = {\n${body}};\n`)).toBe("");
  });

  test("documents, patience, unfinished work, names, paths of a machine", () => {
    expect(complaints(documented("option", ["--listen"]), "README.md", "--listen-backlog")).toContain(
      "option --listen",
    );
    expect(complaints(documented("option", ["--listen"]), "README.md", "`--listen=HOST:PORT`")).toBe("");
    expect(complaints(opensWithRole, "src/a.ts", "// short\nx();")).toContain("must open with a comment");
    expect(
      complaints(opensWithRole, "src/a.ts", "x(); // What this is for comes too late to be of any help."),
    ).not.toBe("");
    expect(complaints(nothingUnfinished, "lb/a.ts", "// FIXME later")).toContain("unfinished");
    const starts = 'import { startScale } from "../harness/process.ts";\n';
    expect(complaints(patientTests, "test/scenario/a.test.ts", starts)).toContain("setDefaultTimeout(60_000)");
    expect(complaints(patientTests, "test/scenario/a.test.ts", `${starts}\nsetDefaultTimeout(60_000);\n`)).toBe("");
    expect(complaints(tellingNames, "src/std/string_utils.ts", "")).toContain("word one would search for");
    expect(complaints(nothingLocal, "docs/A.md", `see ${root}/README.md`)).toContain("of this machine");
    expect(complaints(nothingLocal, "docs/A.md", ["see issue", "12"].join(" "))).toContain("say what it is about");
  });
});
