/** The application inside the binary: demo/social with its files. Only main.ts loads it, and only when no entry is given. */
import demo from "../demo/social/entry.ts";
import { embedDirectory, embedFile } from "./embed.ts" with { type: "macro" };
import type { Application } from "./runtime/entry.ts";

export const builtin: Application = {
  source: "built-in demo",
  definition: demo,
  migrations: embedDirectory("demo/social/migrations", ".sql"),
  directory: undefined,
  demoData: embedFile("demo/social/demo_data.sql"),
};
