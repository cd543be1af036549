/**
 * `scale postgres`: the embedded PostgreSQL as a process of its own, because its work blocks the thread it runs on. It writes its URL,
 * with the password, into the file `url` of its data directory when it is ready, for whoever started it; the output never shows it.
 */
import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

import type { Config } from "../config/options.ts";
import { lockDirectory } from "../io/lock_file.ts";
import { Lifecycle } from "../ops/lifecycle.ts";
import { log } from "../ops/log.ts";
import { formatHostPort } from "../std/units.ts";
import { openDatabase } from "../store/embedded/database.ts";
import { openGate, requireLoopback } from "../store/embedded/gate.ts";

/** Runs until SIGTERM or SIGINT; resolves with the exit code. */
export function run(config: Config): Promise<number> {
  requireLoopback(config.listen);
  const life = new Lifecycle();
  life.listen({ withParent: config.stopWithParent });
  return life.run(() => start(config, life));
}

async function start(config: Config, life: Lifecycle): Promise<void> {
  const directory = resolve(config.dataDir);
  const lock = lockDirectory(directory);
  life.onClose("lock", () => lock.release());

  const opening = openDatabase(join(directory, "data"));
  // Told to stop before it is open: the directory is another's only when it is closed again.
  life.onClose("database", async () => (await opening).close());
  const database = await opening;
  if (life.draining.aborted) return;
  const gate = openGate(database, {
    address: config.listen,
    password: passwordIn(directory),
    onDead: (error) => {
      log.error({ error }, error.message);
      void life.drain("the embedded PostgreSQL has failed", 1);
    },
  });
  life.onClose("connections", () => gate.close());

  const urlFile = join(directory, "url");
  writeFileSync(urlFile, `${gate.url}\n`, { mode: 0o600 });
  life.onClose("url file", () => rmSync(urlFile, { force: true }));
  life.ready();
  log.info({ listen: formatHostPort(gate.address) }, `embedded PostgreSQL: psql "$(cat ${urlFile})"`);
}

/** Stays the same, so that a restart changes no URL. A process killed while it wrote the file left it empty: that is no password. */
function passwordIn(directory: string): string {
  const file = join(directory, "password");
  const kept = existsSync(file) ? readFileSync(file, "utf8") : "";
  if (kept !== "") return kept;
  const password = randomBytes(16).toString("hex");
  writeFileSync(file, password, { mode: 0o600 });
  return password;
}
