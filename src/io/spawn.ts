/** A child process whose output arrives line by line. When to start it again is its supervisor's business, not here. */

export interface ChildOptions {
  readonly command: readonly string[];
  readonly env: { readonly [name: string]: string };
  readonly onLine: (line: string) => void;
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
  kill(signal: "SIGTERM" | "SIGKILL"): void;
}

/** A line longer than this is passed on in pieces: a child that never writes a newline must not fill our memory. */
const lineCharactersMax = 64 * 1024;
/** What it started itself may outlive it and hold its output open; the rest of its own is here by then. */
const outputMilliseconds = 500;

/** Starts a child in a process group of its own, so that Ctrl-C on the terminal reaches only the supervisor, which drains in order. */
export function spawnChild({ command, env, onLine }: ChildOptions): Child {
  const child = Bun.spawn([...command], { env, stdin: "ignore", stdout: "pipe", stderr: "pipe", detached: true });
  const output = Promise.all([readLines(child.stdout, onLine), readLines(child.stderr, onLine)]);
  const exited = child.exited.then(async (code) => {
    await Promise.race([output, Bun.sleep(outputMilliseconds)]);
    return { code, how: child.signalCode ? `signal ${child.signalCode}` : `code ${code}` };
  });
  return { pid: child.pid, exited, kill: (signal) => child.kill(signal) };
}

async function readLines(stream: ReadableStream<Uint8Array>, onLine: (line: string) => void): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) onLine(line);
    if (rest.length > lineCharactersMax) {
      onLine(rest);
      rest = "";
    }
  }
  if (rest !== "") onLine(rest);
}
