/**
 * `scale dev`: everything on this machine in one terminal. It starts ordinary roles with ordinary flags as children of this binary,
 * keeps them running, reloads them on save and drains them in order. A table of contents; the parts are in dev/.
 */
import { dirname, join, resolve } from "node:path";

import { type Config } from "../config/options.ts";
import { assertFree, freePorts } from "../io/free_port.ts";
import { lockDirectory } from "../io/lock_file.ts";
import { Lifecycle } from "../ops/lifecycle.ts";
import { configureLog } from "../ops/log.ts";
import { announce } from "../ops/run_dir.ts";
import { messageOf } from "../std/errors.ts";
import { banner } from "./dev/banner.ts";
import { demoJourney } from "./dev/demo_journey.ts";
import { Fleet } from "./dev/fleet.ts";
import { lbPlan, postgresPlan, runDirOf, type StoreUrls } from "./dev/plan.ts";
import { embeddedUrl, isRoutedTo, presenceOf } from "./dev/ready.ts";
import { Supervised, type Surroundings } from "./dev/supervised.ts";
import { Terminal } from "./dev/terminal.ts";
import { watchSource } from "./dev/watch.ts";

const killMilliseconds = 8_000;

/** Runs until Ctrl-C; resolves with the exit code when no child is left. */
export async function run(config: Config): Promise<number> {
  const startedAt = performance.now();
  // Its children have a log each; dev itself speaks in sentences.
  configureLog({ ...config, logLevel: "warn" });
  assertFree(config.listen);
  const life = new Lifecycle();
  life.listen({ withParent: config.stopWithParent });
  const terminal = new Terminal();
  const surroundings: Surroundings = {
    onLine: (name, line) => terminal.line(name, line),
    say: (text) => terminal.say(text),
  };
  try {
    await start(config, life, terminal, surroundings, startedAt);
  } catch (error) {
    terminal.say(messageOf(error));
    await life.drain("could not start", 1);
  }
  return life.stopped;
}

async function start(
  config: Config,
  life: Lifecycle,
  terminal: Terminal,
  surroundings: Surroundings,
  startedAt: number,
): Promise<void> {
  const dataDir = resolve(config.dataDir);
  const lock = lockDirectory(dataDir);
  life.onClose("lock", () => lock.release());

  const stores = await openStores(config, dataDir, life, surroundings);
  const ports = freePorts(2 * config.apps);
  const lb = new Supervised(lbPlan(config, ports), surroundings);
  const balancer = () => presenceOf(runDirOf(config), "lb", lb.pid);
  const routed = (port: number) => isRoutedTo(balancer()?.admin, `127.0.0.1:${port}`);
  const fleet = new Fleet(config, ports, stores, surroundings, routed);
  // Closed in reverse: the balancer first, so that nothing new comes in, then who it sent it to, then the stores.
  life.onClose("fleet", () => fleet.stop());
  life.onClose("balancer", () => lb.stop(killMilliseconds));
  // The balancer last: what it probes first is there already, so it serves from its first moment.
  await fleet.start();
  await lb.start();
  if (life.draining.aborted) return;
  life.ready();

  const { listen, admin } = balancer() ?? {};
  life.onClose("run directory", announce(runDirOf(config), { pid: process.pid, role: "dev", listen, admin }));
  const url = `http://${listen}`;
  terminal.print(banner(config, { url, admin, milliseconds: performance.now() - startedAt }));
  if (config.argument === undefined) await demoJourney(url, terminal);
  else if (config.watch)
    life.onClose(
      "watcher",
      watchSource(dirname(resolve(config.argument)), (file) => void fleet.reload(file)),
    );
}

async function openStores(
  config: Config,
  dataDir: string,
  life: Lifecycle,
  surroundings: Surroundings,
): Promise<StoreUrls> {
  const redisUrl = config.redisUrl ?? `file:${join(dataDir, "store.sqlite")}`;
  if (config.databaseUrl !== undefined) return { databaseUrl: config.databaseUrl, redisUrl };
  const directory = join(dataDir, "postgres");
  const postgres = new Supervised(postgresPlan(config, directory, freePorts(1)[0]!), surroundings);
  life.onClose("embedded PostgreSQL", () => postgres.stop(killMilliseconds));
  await postgres.start();
  return { databaseUrl: embeddedUrl(directory), redisUrl };
}
