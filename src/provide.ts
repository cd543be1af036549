/** Makes `import … from "scale"` work in an application on disk, whose modules the bundler has never seen. */
import * as scale from "./index.ts";

/** Registers the module in this thread. Must run before an entry is imported. */
export function provideModule(): void {
  Bun.plugin({
    name: "scale",
    setup: (build) => void build.module("scale", () => ({ loader: "object", exports: { ...scale } })),
  });
}
