// Who may import whom. Down only: what a lower part would need from a higher one belongs lower, or is handed to it.
// Invariant: read from the imports themselves, types included; only the contract "scale" may be named as a type everywhere.

import { dirname, join, normalize } from "node:path";

import { isProduct, type Rule, type Source } from "./source.ts";

const everything = ["cli", "lb", "app", "worker", "runtime", "store", "ops", "io", "wire", "config", "std"];

/** Area → areas it may import, besides itself. A longer name is more exact: store/kv is the only part of store open to lb. */
const arrows: { readonly [area: string]: readonly string[] } = {
  main: [...everything, "module", "embed", "demo"],
  module: ["runtime", "std"],
  cli: ["lb/main", "app/main", "worker/main", "runtime", "store", "ops", "io", "wire", "config", "std", "embed"],
  lb: ["wire", "io", "store/kv", "ops", "config", "std"],
  app: ["runtime", "store", "ops", "config", "std"],
  worker: ["runtime", "store", "ops", "config", "std"],
  runtime: ["store", "ops", "config", "std"],
  store: ["store/sql", "ops", "config", "std"],
  "store/embedded": ["store/sql", "io", "ops", "config", "std"],
  "store/sql": ["io", "ops", "config", "std"],
  ops: ["io", "config", "std"],
  io: ["config", "std"],
  wire: ["std"],
  config: ["std"],
  std: [],
  demo: [],
};

/** Package → the one part that knows it; everything else goes through that part. */
const packages: { readonly [name: string]: RegExp } = {
  postgres: /^src\/store\//,
  ioredis: /^src\/store\//,
  "bun:sqlite": /^src\/(store\/|io\/lock_file\.ts$)/,
  "@electric-sql/pglite": /^src\/store\/embedded\//,
  pino: /^src\/ops\/log\.ts$/,
  "prom-client": /^src\/(ops|runtime)\/\w*metrics\.ts$/,
  nodemailer: /^demo\//,
};

interface Import {
  readonly specifier: string;
  readonly typeOnly: boolean;
}

export const importArrows: Rule = (sources) =>
  sources
    .filter(({ path }) => isProduct(path))
    .flatMap((source) => importsOf(source).flatMap((one) => judge(source.path, one)));

function judge(path: string, { specifier, typeOnly }: Import): string[] {
  if (specifier === "scale") return judgeContract(path, typeOnly);
  if (!specifier.startsWith(".")) return judgePackage(path, specifier);
  const target = normalize(join(dirname(path), specifier));
  // What the build makes, as a file to embed.
  if (target.startsWith("build/")) return [];
  const [from, to] = [areaOf(path), areaOf(target)];
  const allowed = arrows[from] ?? arrows[from.split("/")[0] ?? ""] ?? [];
  const open =
    from === to ||
    allowed.some((area) => target === `${folderOf(area)}.ts` || to === area || to.startsWith(`${area}/`));
  // store/embedded is a part of store and may use it.
  if (open || from.startsWith(`${to}/`)) return [];
  const list = allowed.length === 0 ? "nothing else" : allowed.join(", ");
  return [
    `${path} imports ${target}: ${from} may import ${list}. What it needs belongs there, or is handed to it as an argument`,
  ];
}

function judgeContract(path: string, typeOnly: boolean): string[] {
  // The entry that `scale init` writes is an application too.
  if (typeOnly || /^(demo|src\/cli\/init)\//.test(path)) return [];
  return [
    `${path} imports "scale" at run time: only an application does; inside, import the file of src/runtime that has it`,
  ];
}

function judgePackage(path: string, specifier: string): string[] {
  const name = Object.keys(packages).find((one) => specifier === one || specifier.startsWith(`${one}/`));
  const home = name === undefined ? undefined : packages[name];
  if (home === undefined || home.test(path)) return [];
  return [`${path} imports ${specifier}: its home is ${home.source}; use what that part exports`];
}

/** src/store/kv/redis.ts → store/kv where an arrow names it, else store. */
function areaOf(path: string): string {
  if (path === "src/index.ts") return "module";
  if (path === "src/embed.ts") return "embed";
  if (/^src\/\w+\.ts$/.test(path)) return "main";
  const folders = path.replace(/^src\//, "").split("/");
  const exact = folders.slice(0, 2).join("/");
  return ["store/kv", "store/embedded", "store/sql"].includes(exact) ? exact : (folders[0] ?? "");
}

function folderOf(area: string): string {
  return /^(lb|worker|demo)\b/.test(area) ? area : `src/${area}`;
}

const transpiler = new Bun.Transpiler({ loader: "ts" });

function importsOf({ text }: Source): Import[] {
  // The transpiler knows every import that is left at run time, dynamic ones too; types leave no trace in it. Static imports stand
  // at the margin, which the formatter sees to.
  const atRunTime = transpiler.scanImports(text).map(({ path }) => ({ specifier: path, typeOnly: false }));
  const written = [...text.matchAll(/^(?:import|export)( type)?\b[^;"]*?\bfrom "([^"]+)"/gm)].map(
    ([, type, specifier = ""]) => ({
      specifier,
      typeOnly: type !== undefined,
    }),
  );
  const erased = written.filter(({ specifier }) => !atRunTime.some((one) => one.specifier === specifier));
  return [...atRunTime, ...erased];
}
