// What a process under test has written, line by line, and which of its lines are complaints.
// Invariant: bounded; the oldest lines go first and their number is kept.

const linesMax = 50_000;

/** Lines of stdout and stderr in order of arrival. */
export class Output {
  readonly #lines: string[] = [];
  readonly #complaints: string[] = [];
  readonly #expected: readonly RegExp[];
  readonly #done: Promise<unknown>;

  constructor(stdout: ReadableStream<Uint8Array>, stderr: ReadableStream<Uint8Array>, expected: readonly RegExp[]) {
    this.#expected = expected;
    this.#done = Promise.all([this.#read(stdout, isErrorLine), this.#read(stderr, (line) => line.trim() !== "")]);
  }

  get lines(): readonly string[] {
    return this.#lines;
  }

  /** Error-level lines, and everything on stderr, that no pattern of the test expects. */
  get complaints(): readonly string[] {
    return this.#complaints;
  }

  /** Resolves when both streams have ended. */
  get done(): Promise<unknown> {
    return this.#done;
  }

  async #read(stream: ReadableStream<Uint8Array>, complains: (line: string) => boolean): Promise<void> {
    const decoder = new TextDecoder();
    let rest = "";
    for await (const chunk of stream) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) this.#add(line, complains(line));
    }
    if (rest !== "") this.#add(rest, complains(rest));
  }

  #add(line: string, complaint: boolean): void {
    this.#lines.push(line);
    if (this.#lines.length > linesMax) this.#lines.shift();
    if (complaint && !this.#expected.some((pattern) => pattern.test(line))) this.#complaints.push(line);
  }
}

/** A log line of level error or worse; `scale dev` puts a child's name before it. */
export function isErrorLine(line: string): boolean {
  return /\{"level":"(error|fatal)"/.test(line);
}
