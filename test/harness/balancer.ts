// A balancer in front of scripted backends, and the requests that tests send through it.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { eventually } from "./eventually.ts";
import { type ScaleProcess, type StartOptions, startScale } from "./process.ts";
import { answer, exchange, type RawBackend, rawBackend, type Script } from "./raw.ts";

/** Starts role lb before these backends, HOST:PORT or scripted, and waits until each has passed its checks. */
export async function balancer(
  backends: readonly (RawBackend | string)[],
  flags: readonly string[] = [],
  options: StartOptions = {},
): Promise<ScaleProcess> {
  const addresses = backends.map((backend) => `--backend=${typeof backend === "string" ? backend : backend.address}`);
  const interval = flags.some((flag) => flag.startsWith("--health-interval=")) ? [] : ["--health-interval=100ms"];
  const lb = await startScale(["--role=lb", ...interval, ...addresses, ...flags], options);
  await eventually(() => lb.log().filter((line) => line.includes("→ healthy")).length === backends.length);
  return lb;
}

/** Starts role lb with this scale.toml, and waits until `targets` targets have passed their checks. */
export async function configured(
  toml: string,
  targets: number,
  flags: readonly string[] = [],
  expectErrors: readonly RegExp[] = [],
): Promise<Configured> {
  const directory = mkdtempSync(join(tmpdir(), "scale-toml-"));
  const path = join(directory, "scale.toml");
  writeFileSync(path, toml);
  const lb = await startScale(["--role=lb", "--health-interval=100ms", `--config=${path}`, ...flags], { expectErrors });
  await eventually(() => lb.log().filter((line) => line.includes("→ healthy")).length === targets);
  return {
    lb,
    write: (text) => writeFileSync(path, text),
    [Symbol.asyncDispose]: async () => {
      await lb[Symbol.asyncDispose]();
      rmSync(directory, { recursive: true });
    },
  };
}

/** A balancer with a file, which the test may write again. */
export interface Configured extends AsyncDisposable {
  readonly lb: ScaleProcess;
  write(toml: string): void;
}

/** A GET with these further lines. */
export function get(path: string, ...lines: readonly string[]): string {
  return [`GET ${path} HTTP/1.1`, "Host: shop.example", ...lines, "", ""].join("\r\n");
}

export const closing = "Connection: close";

/** The simplest backend: each request is answered with "hello". */
export const hello: Script = (peer) => peer.send(answer("hello"));

/** What comes back for `request` when the backend answers with `script`. */
export async function through(script: Script, request: string, flags: readonly string[] = []): Promise<string> {
  using backend = rawBackend(script);
  await using lb = await balancer([backend], flags);
  return await exchange(lb.url, request);
}
