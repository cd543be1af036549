/**
 * PGlite: PostgreSQL compiled to WebAssembly, with one session, on a directory of ours. It runs on the thread that calls it and blocks
 * it meanwhile. Who may call it when is session.ts; nothing here keeps two processes off one directory (cli/postgres.ts locks it).
 *
 * No timer can interrupt it: statement_timeout is accepted and has no effect. Its fsync is off: a killed process loses nothing, a
 * machine that loses its power may. It is the database of development, not of production.
 */
import { existsSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";

import { PGlite } from "@electric-sql/pglite";

import { ScaleError } from "../../std/errors.ts";
import { pgliteAssets, snapshot } from "./assets.ts";

const majorVersion = "18";

export interface EmbeddedDatabase {
  /** Runs whole protocol messages and returns what PostgreSQL answered. Synchronous: it takes as long as the statements take. */
  run(messages: Uint8Array): Buffer;
  close(): Promise<void>;
}

/** Opens the cluster in `directory`, which is made from the snapshot if it is not there. */
export async function openDatabase(directory: string): Promise<EmbeddedDatabase> {
  const [assets] = await Promise.all([pgliteAssets(), initialize(directory)]);
  const pglite = await PGlite.create(directory, assets);
  return { run: (messages) => run(pglite, messages), close: () => pglite.close() };
}

/** Whole or not at all: a process killed meanwhile must not leave half a cluster that the next one takes for a whole. */
async function initialize(directory: string): Promise<void> {
  if (existsSync(directory)) return requireVersion(directory);
  const fresh = `${directory}.new`;
  rmSync(fresh, { recursive: true, force: true });
  await new Bun.Archive(await snapshot()).extract(fresh);
  renameSync(fresh, directory);
}

/** PostgreSQL reads no directory of another major version. */
function requireVersion(directory: string): void {
  const version = readFileSync(join(directory, "PG_VERSION"), "utf8").trim();
  if (version === majorVersion) return;
  throw new ScaleError(
    "configuration_invalid",
    `${directory} holds a database of PostgreSQL ${version}, and this scale embeds ${majorVersion}`,
    { hint: "start the scale that made it and take the data out with pg_dump, or begin anew in another directory" },
  );
}

function run(pglite: PGlite, messages: Uint8Array): Buffer {
  const chunks: Buffer[] = [];
  // The streaming call, because the others keep every answer they parse. It has done its work when it returns; the promise is for syncing
  // file systems that need it, and the directory does not.
  const done = pglite.execProtocolRawStream(messages, {
    syncToFs: false,
    onRawData: (bytes) => chunks.push(Buffer.from(bytes)),
  });
  done.catch(() => undefined);
  return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
}
