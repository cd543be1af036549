/** A child process whose output arrives in whole lines. When to start it again is its supervisor's business, not here. */

export interface ChildOptions {
  readonly command: readonly string[];
  readonly env: { readonly [name: string]: string };
  /** One or more lines, each with its newline. */
  readonly onLines: (lines: string) => void;
  /** Gives the child a channel (`process.send`); what it sends arrives here. */
  readonly onMessage?: ((message: unknown) => void) | undefined;
}

export interface Ended {
  /** 128 and more after a signal. */
  readonly code: number;
  /** "code 1", "signal SIGKILL". */
  readonly how: string;
}

export interface Child {
  readonly pid: number;
  /** Resolves once it has ended and what it wrote has been passed on. */
  readonly exited: Promise<Ended>;
  kill(signal: "SIGTERM" | "SIGKILL" | "SIGHUP"): void;
  /** Over its channel; to a child that has ended it says nothing. */
  send(message: unknown): void;
}

/** A line longer than this is passed on in pieces: a child that never writes a newline must not fill our memory. */
const lineCharactersMax = 64 * 1024;
/** What it started itself may outlive it and hold its output open; the rest of its own is here by then. */
const outputMilliseconds = 500;

/** Starts a child in a process group of its own, so that Ctrl-C on the terminal reaches only the supervisor, which drains in order. */
export function spawnChild({ command, env, onLines, onMessage }: ChildOptions): Child {
  const child = Bun.spawn([...command], {
    env,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    detached: true,
    ...(onMessage === undefined ? {} : { ipc: onMessage, serialization: "json" as const }),
  });
  const output = Promise.all([readLines(child.stdout, onLines), readLines(child.stderr, onLines)]);
  const exited = child.exited.then(async (code) => {
    await Promise.race([output, Bun.sleep(outputMilliseconds)]);
    return { code, how: child.signalCode ? `signal ${child.signalCode}` : `code ${code}` };
  });
  const send = (message: unknown) => {
    if (child.exitCode === null && child.signalCode === null) child.send(message);
  };
  return { pid: child.pid, exited, kill: (signal) => child.kill(signal), send };
}

async function readLines(stream: ReadableStream<Uint8Array>, onLines: (lines: string) => void): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const text = rest + decoder.decode(chunk, { stream: true });
    const end = text.lastIndexOf("\n") + 1;
    if (end > 0) onLines(text.slice(0, end));
    rest = text.slice(end);
    if (rest.length > lineCharactersMax) {
      onLines(`${rest}\n`);
      rest = "";
    }
  }
  if (rest !== "") onLines(`${rest}\n`);
}
