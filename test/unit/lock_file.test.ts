import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";

import { lockDirectory } from "../../src/io/lock_file.ts";

function withDirectory(body: (directory: string) => Promise<void> | void): () => Promise<void> {
  return async () => {
    const directory = mkdtempSync(`${tmpdir()}/scale-lock-`);
    try {
      await body(directory);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  };
}

/** Another process that locks the directory and stays. */
async function holderOf(directory: string) {
  const program = `const { lockDirectory } = await import(${JSON.stringify(import.meta.resolve("../../src/io/lock_file.ts"))});
    lockDirectory(${JSON.stringify(directory)}); Bun.gc(true); console.log("locked"); setInterval(() => {}, 1000);`;
  const child = Bun.spawn([process.execPath, "-e", program], { stdout: "pipe", stderr: "inherit" });
  await child.stdout.getReader().read();
  return child;
}

test(
  "a second lock on a directory says which process holds the first",
  withDirectory(async (directory) => {
    const child = await holderOf(directory);
    expect(() => lockDirectory(directory)).toThrow(`in use by process ${child.pid}`);
    child.kill("SIGKILL");
    await child.exited;
  }),
);

test(
  "a lock dies with its holder, however it dies",
  withDirectory(async (directory) => {
    const child = await holderOf(directory);
    child.kill("SIGKILL");
    await child.exited;
    lockDirectory(directory).release();
  }),
);

test(
  "a released lock can be taken again, and one process cannot take it twice",
  withDirectory((directory) => {
    const lock = lockDirectory(directory);
    expect(() => lockDirectory(directory)).toThrow(`in use by process ${process.pid}`);
    lock.release();
    lock.release();
    lockDirectory(directory).release();
  }),
);

test(
  "a process id that was given to someone else since is not accused",
  withDirectory(async (directory) => {
    const child = await holderOf(directory);
    writeFileSync(`${directory}/lock.json`, JSON.stringify({ pid: process.pid, startTicks: "1", since: "then" }));
    expect(() => lockDirectory(directory)).toThrow("in use by another process");
    child.kill("SIGKILL");
    await child.exited;
  }),
);
