/** The files of PGlite inside the binary. It cannot find them there by itself, so it is given all of them. */
import type { PGliteOptions } from "@electric-sql/pglite";
import initdbWasm from "@electric-sql/pglite/initdb.wasm" with { type: "file" };
import fsBundle from "@electric-sql/pglite/pglite.data" with { type: "file" };
import pgliteWasm from "@electric-sql/pglite/pglite.wasm" with { type: "file" };

import { messageOf, ScaleError } from "../../std/errors.ts";

type Assets = Required<Pick<PGliteOptions, "pgliteWasmModule" | "initdbWasmModule" | "fsBundle">>;

export async function pgliteAssets(): Promise<Assets> {
  const [pgliteWasmModule, initdbWasmModule] = await Promise.all([compile(pgliteWasm), compile(initdbWasm)]);
  return { pgliteWasmModule, initdbWasmModule, fsBundle: Bun.file(fsBundle) };
}

async function compile(path: string): Promise<WebAssembly.Module> {
  return WebAssembly.compile(await Bun.file(path).arrayBuffer());
}

/** A freshly initialised cluster as tar.gz, made at build time by tools/snapshot.ts: initdb would take seconds and a gigabyte. */
export async function snapshot(): Promise<Blob> {
  try {
    const { default: path } = await import("../../../build/pglite.tar.gz", { with: { type: "file" } });
    return new Blob([await Bun.file(path).bytes()]);
  } catch (error) {
    throw new ScaleError("internal", `the embedded database's first state is missing: ${messageOf(error)}`, {
      hint: "bun tools/snapshot.ts makes it; npm run build does so by itself",
    });
  }
}
