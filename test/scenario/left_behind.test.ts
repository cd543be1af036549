/** Whoever started scale may go away without a word: npm is killed, a terminal is closed. Nothing may be left, and nothing may hang on the way out. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";

import { scaleBinary } from "../harness/binary.ts";
import { eventually } from "../harness/eventually.ts";
import { mark, own, survivors } from "../harness/leaks.ts";
import { startScale } from "../harness/process.ts";
import { temporaryDirectory } from "../harness/temporary.ts";

setDefaultTimeout(60_000);

const root = resolve(import.meta.dir, "../..");
const patience = { timeout: 30_000 };

/** A command, and what tells when all that it starts is up and when nothing of it is left. */
function started(command: readonly string[], directory: string) {
  const owned = own(command.join(" "));
  // npm would ask the registry whether it is the newest.
  const quiet = { npm_config_update_notifier: "false" };
  const env = { PATH: process.env["PATH"] ?? "", HOME: directory, [mark]: owned.value, ...quiet };
  // The terminal is the child's own: closing it hangs up.
  const child = Bun.spawn([...command], { cwd: root, env, terminal: {} });
  const runDir = join(directory, "run");
  const isUp = (role: string): boolean =>
    existsSync(runDir) && readdirSync(runDir).some((name) => name.startsWith(`${role}-`));
  return {
    child,
    untilUp: (role: string) => eventually(() => isUp(role), { ...patience, what: command.join(" ") }),
    untilGone: () => eventually(() => survivors(owned.value).length === 0, { ...patience, what: "nothing being left" }),
  };
}

const places = (directory: string) => [
  "--listen=127.0.0.1:0",
  `--run-dir=${join(directory, "run")}`,
  `--data-dir=${join(directory, "data")}`,
];

test.each(["SIGINT", "SIGTERM", "SIGHUP", "SIGKILL"] as const)(
  "%s to npm alone ends all that npm start started",
  async (signal) => {
    await scaleBinary();
    const directory = temporaryDirectory("npmstart");
    const npm = started(["npm", "start", "--", ...places(directory)], directory);
    await npm.untilUp("dev");
    npm.child.kill(signal);
    await npm.untilGone();
    expect(readdirSync(join(directory, "run"))).toEqual([]);
  },
);

test("a terminal that is closed ends scale dev in order", async () => {
  const directory = temporaryDirectory("closedterminal");
  const dev = started([await scaleBinary(), "dev", ...places(directory)], directory);
  await dev.untilUp("dev");
  dev.child.terminal!.close();
  await dev.untilGone();
  expect(await dev.child.exited).toBe(0);
  expect(readdirSync(join(directory, "run"))).toEqual([]);
});

test("a role that outlives its terminal stops when it is told to", async () => {
  const directory = temporaryDirectory("deafrole");
  const [listen, runDir] = places(directory);
  const command = `trap "" HUP; exec ${await scaleBinary()} --role=lb --backend=127.0.0.1:1 ${listen} ${runDir}`;
  const lb = started(["sh", "-c", command], directory);
  await lb.untilUp("lb");
  lb.child.terminal!.close();
  lb.child.kill("SIGTERM");
  await lb.untilGone();
  expect(await lb.child.exited).toBe(0);
});

test("what is to stop with its parent does so although that was gone before it looked", async () => {
  const parent = Bun.spawn(["true"]);
  await parent.exited;
  const flags = ["--backend=127.0.0.1:1", `--stop-with-parent=${parent.pid}`];
  const lb = await startScale(["--role=lb", ...flags], { ready: false });
  expect(await lb.exited).toBe(0);
  expect(lb.log().join("\n")).toContain("the parent process is gone");
  await lb.stop();
});
