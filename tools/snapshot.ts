// Makes build/pglite.tar.gz, the embedded database's first state: initdb takes seconds and a gigabyte, unpacking this half a second.
// Invariant: the file is replaced whole. Not here: when it is made (build.ts) and used (src/store/embedded/database.ts).
import { mkdirSync, renameSync } from "node:fs";

import { PGlite } from "@electric-sql/pglite";

const target = `${import.meta.dir}/../build/pglite.tar.gz`;
mkdirSync(`${import.meta.dir}/../build`, { recursive: true });

const database = await PGlite.create();
await Bun.write(`${target}.new`, await database.dumpDataDir("gzip"));
await database.close();
renameSync(`${target}.new`, target);
process.stdout.write(`build/pglite.tar.gz: ${(Bun.file(target).size / 1e6).toFixed(1)} MB\n`);
