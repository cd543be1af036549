/**
 * An application: its definition and the files beside it. Loaded from a module on disk, or the one built into the binary. Both
 * become the same Application; who serves it (role app), runs its jobs (role worker) or migrates for it is not here.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

import type { App } from "scale";

import { messageOf, ScaleError } from "../std/errors.ts";
import type { MigrationFile } from "./migrate.ts";

export interface Application {
  /** Path of the entry, or "built-in demo". */
  readonly source: string;
  readonly definition: App;
  /** Sorted by name. */
  readonly migrations: readonly MigrationFile[];
  /** Directory of the entry; undefined for the built-in one, whose files are in the binary. */
  readonly directory: string | undefined;
  /** SQL that fills the tables for measurements; only the built-in one has it. */
  readonly demoData?: string;
}

/** The application in the binary, loaded only when it is asked for. */
export type Builtin = () => Promise<Application>;

/** Throws entry_invalid where the module cannot be found, fails when evaluated, or exports something else. */
export async function loadApplication(entry: string | undefined, builtin: Builtin): Promise<Application> {
  if (entry === undefined) return builtin();
  const path = entryPath(entry);
  const directory = dirname(path);
  const definition = definitionOf(await importEntry(path, entry), entry);
  return { source: entry, definition, directory, migrations: readMigrations(definition.migrations, directory, entry) };
}

/** Where the entry lies. Throws entry_invalid where nothing does. */
export function entryPath(entry: string): string {
  const path = resolve(entry);
  if (existsSync(path)) return path;
  throw new ScaleError("entry_invalid", `there is no ${entry} (looked for ${path})`, {
    hint: "scale init writes one to begin with",
  });
}

async function importEntry(path: string, entry: string): Promise<unknown> {
  try {
    return ((await import(path)) as { readonly default?: unknown }).default;
  } catch (error) {
    throw new ScaleError("entry_invalid", `${entry} cannot be loaded: ${messageOf(error)}`, { cause: error });
  }
}

/**
 * `export default` a definition, a router with fetch, or a bare handler. Of a router (an instance of Hono's or Elysia's class) only
 * fetch is ours to call: its `routes` is a list, its `onStart` registers something.
 */
export function definitionOf(exported: unknown, entry: string): App {
  if (typeof exported === "function" && !("fetch" in exported)) return { fetch: exported as NonNullable<App["fetch"]> };
  if (isRouter(exported)) return { fetch: (...args) => exported.fetch(...args) };
  const candidate = exported as
    { readonly fetch?: unknown; readonly routes?: unknown; readonly jobs?: unknown } | null | undefined;
  if (
    candidate &&
    (typeof candidate.fetch === "function" || isRecord(candidate.routes) || Array.isArray(candidate.jobs))
  ) {
    return candidate as App;
  }
  throw new ScaleError(
    "entry_invalid",
    `${entry} exports nothing to serve: expected a default export with routes, fetch or jobs, got ${typeof exported}`,
    {
      hint: 'export default app({ routes: { "/": () => new Response("hello") } })',
    },
  );
}

function isRouter(exported: unknown): exported is { fetch: NonNullable<App["fetch"]> } {
  if ((typeof exported !== "object" && typeof exported !== "function") || exported === null) return false;
  const { fetch, routes } = exported as { readonly fetch?: unknown; readonly routes?: unknown };
  const prototype: unknown = Object.getPrototypeOf(exported);
  const isPlain = prototype === Object.prototype || prototype === null;
  return typeof fetch === "function" && (!isPlain || Array.isArray(routes));
}

function isRecord(value: unknown): boolean {
  return typeof value === "object" && value !== null;
}

function readMigrations(given: string | undefined, directory: string, entry: string): readonly MigrationFile[] {
  if (given === undefined) return [];
  const path = join(directory, given);
  if (!existsSync(path)) {
    throw new ScaleError("entry_invalid", `${entry} says migrations: "${given}", but there is no directory ${path}`);
  }
  return readdirSync(path)
    .filter((name) => name.endsWith(".sql"))
    .toSorted()
    .map((name) => ({ name, text: readFileSync(join(path, name), "utf8") }));
}
