// Starts the compiled binary as a real process and ends it in order.
// Invariant: a process that is started is also checked: on its way out it must have written no unexpected error line and left no
// child. What a test forgets to stop, leaks.ts finds. Not here: which roles make a system (cluster.ts).

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import type { Presence } from "../../src/ops/run_dir.ts";
import { scaleBinary } from "./binary.ts";
import { eventually } from "./eventually.ts";
import { mark, own, type Owned, type Scope, survivors } from "./leaks.ts";
import { Output } from "./output.ts";
import { commandOf } from "./proc.ts";

export interface StartOptions {
  /** Nothing of the test's own environment but PATH reaches the process. */
  readonly env?: { readonly [name: string]: string };
  /** Default: an empty directory, removed when the process has ended. */
  readonly cwd?: string;
  /**
   * What to wait for: "ready" (the default: its address is known and /readyz says 200), "listening" (its address is known), a
   * condition, or nothing.
   */
  readonly ready?: "ready" | "listening" | (() => unknown) | false;
  /** Patterns of error lines that the test provokes. */
  readonly expectErrors?: readonly RegExp[];
  /** Milliseconds to become ready. */
  readonly timeout?: number;
  /** Until when it may run, if not to the end of the test that starts it. */
  readonly scope?: Scope;
  /** A command that becomes the binary, and keeps its process id (strace.ts). */
  readonly under?: readonly string[];
}

export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const startMilliseconds = 20_000;
const stopMilliseconds = 35_000;

/** Runs the binary to its end: for tools, and for starts that must fail. */
export async function runScale(
  args: readonly string[],
  options: Pick<StartOptions, "env" | "cwd"> = {},
): Promise<Finished> {
  const binary = await scaleBinary();
  const owned = own(args.join(" "));
  const temporary = temporaryDirectory();
  owned.directories.push(temporary);
  const child = spawn([binary, ...args], options.cwd ?? temporary, owned, options.env);
  const texts = [child.stdout, child.stderr].map((stream) => new Response(stream).text());
  const [stdout = "", stderr = ""] = await Promise.all(texts);
  const code = await child.exited;
  remove(temporary);
  return { code, stdout, stderr };
}

/** Starts the binary: `startScale(["--role=app", "entry.ts"])`. It listens on a free port unless the arguments say where. */
export async function startScale(args: readonly string[], options: StartOptions = {}): Promise<ScaleProcess> {
  const scale = new ScaleProcess(await scaleBinary(), args, options);
  try {
    await scale.started(options);
    return scale;
  } catch (error) {
    await scale.abandon();
    throw error;
  }
}

/** A running `scale`. `await using` stops it at the end of the block and fails the test when that was not clean. */
export class ScaleProcess implements AsyncDisposable {
  readonly pid: number;
  readonly cwd: string;
  /** Resolves with the exit code when the process has ended and all it wrote was read; 128 + N after signal N. */
  readonly exited: Promise<number>;
  readonly #name: string;
  readonly #role: string;
  readonly #givenRunDir: string | undefined;
  readonly #directory = temporaryDirectory();
  readonly #owned: Owned;
  readonly #child: Spawned;
  readonly #output: Output;
  #presence: Presence | undefined;
  #asked = false;

  constructor(
    binary: string,
    args: readonly string[],
    { env, cwd, scope, under = [], expectErrors = [] }: StartOptions,
  ) {
    this.#role = roleOf(args);
    this.#givenRunDir = args.find((arg) => arg.startsWith("--run-dir="))?.slice("--run-dir=".length);
    this.#owned = own(args.join(" "), scope);
    this.#owned.directories.push(this.#directory);
    this.cwd = cwd ?? this.#directory;
    // Killed when the test process dies: bun test fires no exit event.
    const command = ["setpriv", "--pdeathsig=KILL", ...under, binary, ...args, ...this.#defaults(args)];
    this.#child = spawn(command, this.cwd, this.#owned, env);
    this.pid = this.#child.pid;
    this.#name = `scale ${args.join(" ")} (pid ${this.pid})`;
    this.#output = new Output(this.#child.stdout, this.#child.stderr, expectErrors);
    this.exited = Promise.all([this.#child.exited, this.#output.done]).then(([code]) => code);
  }

  /** http://HOST:PORT of the service; "" where it has none. */
  get url(): string {
    return httpUrl(this.#presence?.listen);
  }

  /** http://HOST:PORT of /healthz, /readyz and /metrics. */
  get adminUrl(): string {
    return httpUrl(this.#presence?.admin);
  }

  /** Lines of stdout and stderr so far. */
  log(): readonly string[] {
    return this.#output.lines;
  }

  kill(signal: NodeJS.Signals = "SIGKILL"): void {
    this.#asked ||= signal === "SIGKILL" || signal === "SIGTERM" || signal === "SIGINT";
    this.#child.kill(signal);
  }

  /** SIGTERM, then waits. Resolves with the exit code; fails on unexpected error lines and on children left behind. */
  async stop(): Promise<number> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.kill("SIGTERM");
    const late = setTimeout(() => this.kill("SIGKILL"), stopMilliseconds);
    const code = await this.exited;
    clearTimeout(late);
    remove(this.#directory);
    this.#complain();
    return code;
  }

  /** Resolves when nothing runs any more of what it has started, for one that was killed: those end when they miss it. */
  async childrenEnded(): Promise<void> {
    await this.exited;
    await eventually(() => survivors(this.#owned.value).length === 0, {
      what: `the end of what ${this.#name} started`,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const asked = this.#asked;
    const code = await this.stop();
    if (!asked && code !== 0) throw new Error(`${this.#name} ended with code ${code}; last lines:\n${this.#tail()}`);
  }

  /** Resolves when it is what `ready` asks for; rejects with what it wrote when it ends before, or time is up. */
  async started({ ready = "ready", timeout = startMilliseconds }: StartOptions): Promise<void> {
    if (ready === false) return;
    let code: number | undefined;
    void this.exited.then((it) => (code = it));
    const condition = typeof ready === "function" ? ready : () => this.#announced(ready);
    try {
      await eventually(async () => code !== undefined || (await condition()), { timeout, what: this.#name });
    } catch (error) {
      throw new Error(`${String(error)}\nlast lines:\n${this.#tail()}`, { cause: error });
    }
    if (code !== undefined) throw new Error(`${this.#name} ended with code ${code}; last lines:\n${this.#tail()}`);
  }

  /** Ends it without a word: it did not even start. */
  async abandon(): Promise<void> {
    this.kill("SIGKILL");
    await this.exited;
    remove(this.#directory);
  }

  async #announced(wanted: "ready" | "listening"): Promise<boolean> {
    this.#presence ??= readPresence(join(this.runDir, `${this.#role}-${this.pid}.json`));
    if (this.#presence === undefined) return false;
    for (const { port } of [this.url, this.adminUrl].filter(Boolean).map((url) => new URL(url))) {
      this.#owned.ports.add(Number(port));
    }
    return wanted === "listening" || (await fetch(`${this.adminUrl}/readyz`, { keepalive: false })).ok;
  }

  get runDir(): string {
    return this.#givenRunDir ?? join(this.#directory, "run");
  }

  #defaults(args: readonly string[]): string[] {
    const flags: string[] = [];
    if (["lb", "app", "dev"].includes(this.#role)) flags.push("--listen=127.0.0.1:0");
    if (["lb", "app", "worker", "dev"].includes(this.#role)) flags.push(`--run-dir=${this.runDir}`);
    return flags.filter((flag) => !args.some((arg) => arg.startsWith(flag.slice(0, flag.indexOf("=") + 1))));
  }

  #complain(): void {
    const { complaints } = this.#output;
    if (complaints.length > 0) {
      throw new Error(`${this.#name} wrote unexpected errors:\n  ${complaints.slice(0, 10).join("\n  ")}`);
    }
    const children = survivors(this.#owned.value).map((pid) => `${pid} ${commandOf(pid)}`);
    if (children.length > 0) throw new Error(`${this.#name} left children behind:\n  ${children.join("\n  ")}`);
  }

  #tail(): string {
    return this.log().slice(-20).join("\n");
  }
}

type Spawned = Bun.Subprocess<"ignore", "pipe", "pipe">;

function spawn(command: readonly string[], cwd: string, owned: Owned, env: StartOptions["env"]): Spawned {
  return Bun.spawn([...command], {
    cwd,
    env: { PATH: process.env["PATH"] ?? "", HOME: cwd, [mark]: owned.value, ...env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
}

/** --role=NAME or the tool's name: under which it announces itself. */
function roleOf(args: readonly string[]): string {
  const flag = args.find((arg) => arg.startsWith("--role="));
  return flag?.slice("--role=".length) ?? args[0] ?? "";
}

function readPresence(file: string): Presence | undefined {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Presence;
  } catch {
    return undefined;
  }
}

function httpUrl(address: string | undefined): string {
  return address === undefined ? "" : `http://${address}`;
}

function temporaryDirectory(): string {
  return mkdtempSync(join(tmpdir(), "scale-test-"));
}

function remove(directory: string): void {
  rmSync(directory, { recursive: true, force: true });
}
