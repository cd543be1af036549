/** A child of scale dev, kept running, as small shell scripts show it. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { whatIsOverdue } from "../../src/cli/dev/overdue.ts";
import { watchSource } from "../../src/cli/dev/watch.ts";
import { type Plan, Supervised } from "../../src/ops/supervised.ts";
import { ScaleError } from "../../src/std/errors.ts";
import { eventually } from "../harness/eventually.ts";

const supervised: Supervised[] = [];
afterEach(() => Promise.all(supervised.splice(0).map((child) => child.stop(0))));

const isReady = () => Promise.resolve({ ready: true });
const isNotReady = () => Promise.resolve({ ready: false, reason: "it waits" });

function child(
  script: string,
  readiness: Plan["readiness"],
  said: string[] = [],
  more: Partial<Plan> = {},
): Supervised {
  const env = { PATH: process.env["PATH"] ?? "" };
  const plan = { name: "it", command: ["sh", "-c", script], env, readiness, ...more };
  const one = new Supervised(plan, { write: () => undefined, say: (text) => said.push(text) });
  supervised.push(one);
  return one;
}

const isAlive = (pid: number) => existsSync(`/proc/${pid}`);

describe("a child", () => {
  test("that was never started is stopped at once, and is not started after that", async () => {
    const one = child("exec sleep 60", isReady);
    await one.stop(1_000);
    await one.start();
    expect([one.state, one.pid]).toEqual(["stopped", undefined]);
  });

  test.each([
    [78, 78],
    [2, 2],
    [1, 1],
    [7, 1],
  ])("that ends with code %d before it is ready is a failure with exit code %d", async (code, exit) => {
    const one = child(`exit ${code}`, isNotReady);
    const error = (await one.start().catch((thrown: unknown) => thrown)) as ScaleError;
    expect(error).toBeInstanceOf(ScaleError);
    expect([error.exit, error.message]).toEqual([
      exit,
      expect.stringContaining(`it ended before it was ready (code ${code})`),
    ]);
    await one.stop(1_000);
  });

  test("that is stopped while it starts has ended when start and stop resolve", async () => {
    const one = child("exec sleep 60", isNotReady);
    const starting = one.start();
    await eventually(() => one.waiting?.reason === "it waits");
    const pid = one.pid!;
    const stopping = one.stop(5_000);
    await starting;
    expect(isAlive(pid)).toBe(false);
    await stopping;
    expect(one.state).toBe("stopped");
  });

  test("that turns ready while it is being stopped stays stopped", async () => {
    const answer = Promise.withResolvers<{ ready: boolean }>();
    const said: string[] = [];
    const one = child("exec sleep 60", () => answer.promise, said);
    const starting = one.start();
    await eventually(() => one.pid);
    const stopping = one.stop(5_000);
    answer.resolve({ ready: true });
    await Promise.all([starting, stopping]);
    expect([one.state, said]).toEqual(["stopped", []]);
  });

  test("that is not ready in time is ended and started again, until it is ready", async () => {
    const said: string[] = [];
    let ready = false;
    const one = child("exec sleep 60", () => Promise.resolve({ ready, reason: "it waits" }), said, { readyWithin: 50 });
    const starting = one.start();
    await eventually(() => said.length === 2);
    expect(said).toEqual([
      "it is not ready after 50ms (it waits) and was ended, starting it again in 200ms",
      "it is not ready after 50ms (it waits) and was ended, starting it again in 500ms",
    ]);
    ready = true;
    await starting;
    expect(one.state).toBe("ready");
  });

  test("that does not end when it is given up, is stopped all the same", async () => {
    const one = child("trap '' TERM; while :; do sleep 1; done", isNotReady, [], { readyWithin: 50 });
    const starting = one.start();
    await eventually(() => one.waiting !== undefined && one.waiting.milliseconds > 100);
    await one.stop(0);
    await starting;
    expect(one.state).toBe("stopped");
  });

  test("that dies is started again, until it is stopped", async () => {
    const said: string[] = [];
    const one = child("exec sleep 60", isReady, said);
    await one.start();
    const first = one.pid!;
    process.kill(first, "SIGKILL");
    await eventually(() => one.state === "ready" && one.pid !== first);
    expect(said).toEqual(["it ended (signal SIGKILL), starting it again in 200ms", "it is ready again"]);
  });
});

test("what takes long is said in one line, with who waits for the same", () => {
  const waits = (name: string, milliseconds: number, reason: string) => ({
    plan: { name },
    waiting: { milliseconds, reason },
  });
  const ready = { plan: { name: "lb" }, waiting: undefined };
  expect(whatIsOverdue([ready, waits("app-1", 4_000, "sql is down")])).toBe("");
  expect(
    whatIsOverdue([
      ready,
      waits("app-1", 5_500, "sql is down"),
      waits("app-2", 4_900, "sql is down"),
      waits("worker", 1, "new"),
    ]),
  ).toBe("not ready after 5s: app-1, app-2 (sql is down); worker (new)");
});

describe("of a watched directory", () => {
  const changed: string[] = [];
  let directory = "";
  let stop = (): void => undefined;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "scale-watch-"));
    mkdirSync(join(directory, "run"));
    writeFileSync(join(directory, "entry.ts"), "");
    changed.length = 0;
    stop = watchSource(directory, {
      except: [join(directory, "run")],
      onChange: (file) => changed.push(file),
      onError: (error) => changed.push(error.message),
    });
  });
  afterEach(() => {
    stop();
    rmSync(directory, { recursive: true, force: true });
  });

  test("a changed source is told, what dev writes itself is not", async () => {
    writeFileSync(join(directory, "entry.ts"), "1");
    writeFileSync(join(directory, "run", "app-1.json"), "{}");
    writeFileSync(join(directory, "notes.txt"), "");
    await eventually(() => changed.length > 0);
    expect(changed).toEqual(["entry.ts"]);
  });

  test("that is not there, is told", () => {
    const errors: string[] = [];
    const none = { except: [], onChange: () => undefined, onError: (error: Error) => errors.push(error.message) };
    watchSource(join(directory, "none"), none)();
    expect(errors).toEqual([expect.stringContaining("ENOENT")]);
  });

  test("the removal ends nothing", async () => {
    rmSync(directory, { recursive: true });
    await eventually(() => changed.length > 0);
  });
});
