/** A child process as its supervisor sees it. */
import { expect, test } from "bun:test";

import { spawnChild } from "../../src/io/spawn.ts";

const run = (script: string, onLines: (lines: string) => void = () => undefined) =>
  spawnChild({ command: ["sh", "-c", script], env: { PATH: process.env["PATH"] ?? "" }, onLines }).exited;

test("says how it ended, after its last line", async () => {
  let text = "";
  expect(await run("echo one; echo two >&2; printf three; exit 3", (lines) => (text += lines))).toEqual({
    code: 3,
    how: "code 3",
  });
  expect(text.split("\n").toSorted()).toEqual(["", "one", "three", "two"]);
  expect(await run("kill -9 $$")).toEqual({ code: 137, how: "signal SIGKILL" });
});

test("has ended when it has ended, whatever it started holds its output open", async () => {
  const before = performance.now();
  expect(await run("sleep 5 & exit 3")).toEqual({ code: 3, how: "code 3" });
  expect(performance.now() - before).toBeLessThan(4_000);
});
