/**
 * The embedded database as a process of its own, the way `scale dev` starts it, in a temporary directory.
 * Invariant: the process dies with the test process, and the directory is removed with it.
 */
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";

import { scaleBinary } from "./binary.ts";
import { mark, own } from "./leaks.ts";
import { temporaryDirectory } from "./temporary.ts";

export interface EmbeddedServer {
  readonly directory: string;
  readonly pid: number;
  /** Read from the file the process wrote. */
  readonly url: string;
  /** From the start of the process to its URL. */
  readonly startMilliseconds: number;
  /** Resolves with the exit code; null after SIGKILL. */
  kill(signal: "SIGTERM" | "SIGKILL"): Promise<number | null>;
  /** SIGTERM, and its directory is removed. */
  remove(): Promise<void>;
}

const startMillisecondsMax = 30_000;

/** Starts it in a new directory, or in one that an earlier start left. */
export async function startEmbedded(directory = temporaryDirectory("embedded")): Promise<EmbeddedServer> {
  const binary = await scaleBinary();
  rmSync(join(directory, "url"), { force: true });
  const started = performance.now();
  const flags = [`--data-dir=${directory}`, "--listen=127.0.0.1:0", "--log-level=warn", "--stop-with-parent"];
  const child = Bun.spawn([binary, "postgres", ...flags], {
    env: { PATH: process.env.PATH ?? "", [mark]: own("scale postgres").value },
    stdio: ["ignore", "inherit", "inherit"],
  });
  const url = await urlIn(directory, () => child.exitCode);
  const kill = async (signal: "SIGTERM" | "SIGKILL"): Promise<number | null> => {
    child.kill(signal);
    await child.exited;
    return child.exitCode;
  };
  return {
    directory,
    pid: child.pid,
    url,
    startMilliseconds: performance.now() - started,
    kill,
    remove: async () => {
      await kill("SIGTERM");
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

async function urlIn(directory: string, exitCode: () => number | null): Promise<string> {
  const file = join(directory, "url");
  const deadline = performance.now() + startMillisecondsMax;
  while (performance.now() < deadline && exitCode() === null) {
    const url = existsSync(file) ? readFileSync(file, "utf8").trim() : "";
    if (url !== "") return url;
    await Bun.sleep(5);
  }
  throw new Error(`scale postgres wrote no URL into ${file} (exit code ${exitCode()})`);
}
