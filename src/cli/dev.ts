/**
 * `scale dev`: everything on this machine in one terminal. It starts ordinary roles with ordinary flags as children of this binary,
 * keeps them running, reloads them on save and drains them in order. A table of contents; the parts are in dev/.
 */
import { dirname, join } from "node:path";

import type { Config } from "../config/options.ts";
import { assertFree, freePorts } from "../io/free_port.ts";
import { lockDirectory } from "../io/lock_file.ts";
import { Lifecycle } from "../ops/lifecycle.ts";
import { configureLog } from "../ops/log.ts";
import { announce } from "../ops/run_dir.ts";
import { Supervised } from "../ops/supervised.ts";
import { entryPath } from "../runtime/entry.ts";
import { messageOf } from "../std/errors.ts";
import { banner } from "./dev/banner.ts";
import { demoJourney } from "./dev/demo_journey.ts";
import { writableDirectory } from "./dev/directory.ts";
import { Fleet } from "./dev/fleet.ts";
import { sayWhatIsOverdue } from "./dev/overdue.ts";
import { lbPlan, postgresPlan, runDirOf, type StoreUrls } from "./dev/plan.ts";
import { embeddedUrl, isRoutedTo, presenceOf } from "./dev/ready.ts";
import { Terminal } from "./dev/terminal.ts";
import { watchSource } from "./dev/watch.ts";

const killMilliseconds = 8_000;

/** Runs until Ctrl-C; resolves with the exit code when no child is left. Rejects, when none is left, where it could not start. */
export async function run(config: Config): Promise<number> {
  const startedAt = performance.now();
  // Its children have a log each; dev itself speaks in sentences.
  configureLog({ ...config, logLevel: "warn" });
  const life = new Lifecycle();
  life.listen({ withParent: config.stopWithParent });
  // Of a terminal that was closed. Its children would end by themselves, each at once and in no order.
  process.on("SIGHUP", () => void life.drain("the terminal is gone"));
  try {
    return await life.run(() => start(config, life, startedAt));
  } catch (error) {
    void life.drain("could not start", 1);
    await life.stopped;
    throw error;
  }
}

async function start(config: Config, life: Lifecycle, startedAt: number): Promise<void> {
  const entry = config.argument === undefined ? undefined : entryPath(config.argument);
  const dataDir = prepare(config, life);
  const terminal = new Terminal();
  const stores = await openStores(config, dataDir, life, terminal);
  if (life.draining.aborted) return;

  const ports = freePorts(2 * config.apps);
  const lb = new Supervised(lbPlan(config, ports), terminal);
  const balancer = () => presenceOf(runDirOf(config), "lb", lb.pid);
  const routed = (port: number) => isRoutedTo(balancer()?.admin, `127.0.0.1:${port}`);
  const fleet = new Fleet(config, ports, stores, terminal, routed);
  keepSaying(life, terminal, () => [...fleet.children, lb]);
  // Closed in reverse: the balancer first, so that nothing new comes in, then who it sent it to, then the stores.
  life.onClose("fleet", () => fleet.stop());
  life.onClose("balancer", () => lb.stop(killMilliseconds));
  // The balancer last: what it probes first is there already, so it serves from its first moment.
  await fleet.start();
  await lb.start();
  if (life.draining.aborted) return;
  // Before anybody is told that dev is up: what they save then must not be missed.
  if (entry !== undefined && config.watch) {
    watchEntry(dirname(entry), [dataDir, runDirOf(config)], life, fleet, terminal);
  }
  life.ready();

  const { listen, admin } = balancer() ?? {};
  life.onClose("run directory", announce(config, { pid: process.pid, role: "dev", listen, admin }));
  const url = `http://${listen}`;
  terminal.print(banner(config, { url, admin, milliseconds: performance.now() - startedAt }));
  if (entry === undefined) await demoJourney(url, terminal, life.draining);
}

/** What would only make the children fail or wait is found before there are any. Returns where the stores lie. */
function prepare(config: Config, life: Lifecycle): string {
  writableDirectory("--run-dir", config.runDir);
  const dataDir = writableDirectory("--data-dir", config.dataDir);
  // Before the port: of a second start in the same place, this says who the first is.
  const lock = lockDirectory(dataDir);
  life.onClose("lock", () => lock.release());
  assertFree(config.listen);
  return dataDir;
}

async function openStores(config: Config, dataDir: string, life: Lifecycle, terminal: Terminal): Promise<StoreUrls> {
  const redisUrl = config.redisUrl ?? `file:${join(dataDir, "store.sqlite")}`;
  if (config.databaseUrl !== undefined) return { databaseUrl: config.databaseUrl, redisUrl };
  const directory = join(dataDir, "postgres");
  const postgres = new Supervised(postgresPlan(config, directory, freePorts(1)[0]!), terminal);
  keepSaying(life, terminal, () => [postgres]);
  life.onClose("embedded PostgreSQL", () => postgres.stop(killMilliseconds));
  await postgres.start();
  return { databaseUrl: embeddedUrl(directory), redisUrl };
}

function keepSaying(life: Lifecycle, terminal: Terminal, children: () => readonly Supervised[]): void {
  life.onClose(
    "what is overdue",
    sayWhatIsOverdue(children, (text) => terminal.say(text)),
  );
}

function watchEntry(
  directory: string,
  except: readonly string[],
  life: Lifecycle,
  fleet: Fleet,
  terminal: Terminal,
): void {
  const stop = watchSource(directory, {
    except,
    onChange: (file) => void fleet.reload(file),
    onError: (error) =>
      terminal.say(`${directory} is not watched any more: ${messageOf(error)}. Start again to reload on save`),
  });
  life.onClose("watcher", stop);
}
