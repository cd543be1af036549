/** What the children of scale dev run with, as each of them reads it from the command line it is given. */
import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

import { appPlan, lbPlan, workerPlan } from "../../src/cli/dev/plan.ts";
import { parseArguments } from "../../src/config/arguments.ts";
import { loadConfig } from "../../src/config/load.ts";
import type { Config } from "../../src/config/options.ts";
import type { Plan } from "../../src/ops/supervised.ts";
import { temporaryDirectory } from "../harness/temporary.ts";

const stores = { databaseUrl: "postgres://127.0.0.1:5/dev", redisUrl: "file:dev.sqlite" };

function load(argv: readonly string[], env: { readonly [name: string]: string } = {}): Config {
  const args = parseArguments(argv);
  return loadConfig(args.command!, args, env, ["scale"]).config;
}

/** As the child itself would. */
function childOf({ command, env }: Plan): Config {
  return load(command.slice(1), env);
}

function children(argv: readonly string[], env: { readonly [name: string]: string } = {}) {
  const dev = load(["dev", ...argv], env);
  return {
    lb: childOf(lbPlan(dev, [4001, 4002])),
    app: childOf(appPlan(dev, "app-1", 4001, stores)),
    worker: childOf(workerPlan(dev, stores)),
  };
}

function file(text: string): string {
  const path = join(temporaryDirectory("devplan"), "scale.toml");
  writeFileSync(path, text);
  return `--config=${path}`;
}

test("an option of dev reaches every role that has it, from a flag or the environment", () => {
  const { app, worker } = children(["--concurrency=4", "--namespace=shop"], { SCALE_REQUEST_TIMEOUT: "7s" });
  expect([worker.concurrency, worker.namespace, app.namespace, app.requestTimeout]).toEqual([4, "shop", "shop", 7_000]);
});

test("a switch that dev is given and decides itself is said once", () => {
  const { lb, app, worker } = children(["--stop-with-parent"]);
  expect([lb, app, worker].map(({ stopWithParent }) => stopWithParent)).toEqual([
    process.pid,
    process.pid,
    process.pid,
  ]);
});

test("a role's own table of scale.toml reaches that role, and so does the top level", () => {
  const { lb, app, worker } = children([
    file(`
      first-byte-timeout = "41s"
      concurrency = 2
      [lb]
      retries-max = 1
      [app]
      request-timeout = "42s"
      [worker]
      concurrency = 3`),
  ]);
  expect([lb.firstByteTimeout, lb.retriesMax, app.requestTimeout, worker.concurrency]).toEqual([41_000, 1, 42_000, 3]);
});

test("what was said to dev itself beats it", () => {
  const text = '[dev]\nnamespace = "dev"\n[app]\nnamespace = "app"\nrequest-timeout = "42s"';
  const { app } = children([file(text), "--request-timeout=8s"]);
  expect([app.namespace, app.requestTimeout]).toEqual(["dev", 8_000]);
});

test("what dev decides beats everything: addresses, stores, how children stop", () => {
  const { lb, app, worker } = children([
    "--listen=127.0.0.1:4000",
    file(`
      listen = "127.0.0.1:1"
      admin = "127.0.0.1:2"
      run-dir = "elsewhere"
      drain-timeout = "9s"
      log-format = "pretty"
      [lb]
      backend = ["127.0.0.1:1"]
      health-interval = "9s"
      [app]
      database-url = "postgres://127.0.0.1:1/other"
      migrate = "check"
      drain-delay = "9s"
      access-log = true`),
  ]);
  expect([lb.listen.port, app.listen.port]).toEqual([4000, 4001]);
  // One address for all of them would be taken for all but one.
  expect([lb.admin.port, app.admin.port, worker.admin.port]).toEqual([2, 0, 0]);
  expect([lb.backend.map(({ port }) => port), lb.healthInterval]).toEqual([[4001, 4002], 250]);
  expect([app.databaseUrl, app.migrate, app.drainDelay, app.accessLog]).toEqual([stores.databaseUrl, "auto", 0, false]);
  for (const role of [lb, app, worker]) expect([role.stopWithParent, role.drainTimeout]).toEqual([process.pid, 5_000]);
});

test("the access log is the balancer's and the worker's, and --access-log=off ends both", () => {
  const logs = ({ lb, app, worker }: ReturnType<typeof children>) => [lb.accessLog, app.accessLog, worker.accessLog];
  expect(logs(children([]))).toEqual([true, false, true]);
  expect(logs(children(["--access-log"]))).toEqual([true, false, true]);
  expect(logs(children(["--access-log=off"]))).toEqual([false, false, false]);
});

test("the balancer keeps quiet about targets that are not there, unless somebody says what it may log", () => {
  expect(children([]).lb.logLevel).toBe("error");
  expect(children(["--log-level=info"]).lb.logLevel).toBe("info");
  expect(children([file('[lb]\nlog-level = "warn"')]).lb.logLevel).toBe("warn");
  expect(children([file('log-level = "debug"')]).lb.logLevel).toBe("debug");
});
