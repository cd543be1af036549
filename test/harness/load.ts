// A small HTTP load over kept-alive connections that counts what failed and when: for tests that kill something meanwhile.
// Not here: measuring speed (test/bench).

export interface LoadOptions {
  /** Requests in flight at a time. */
  readonly connections?: number;
  /** Default: GET. */
  readonly method?: string;
  readonly headers?: { readonly [name: string]: string };
}

export interface Load extends AsyncDisposable {
  /** Answers so far that were not failures. */
  readonly ok: number;
  /** Answers that were not failures, by X-Served-By. */
  readonly servedBy: ReadonlyMap<string, number>;
  /** Requests sent since `time` (of performance.now) with no answer or a status of 500 and above: how many of each kind. */
  failures(time?: number): { readonly [what: string]: number };
  /** Ends it when the requests in flight are answered. */
  stop(): Promise<void>;
}

interface Failure {
  /** performance.now() when the request was sent. */
  readonly at: number;
  /** The status, or why there was none. */
  readonly what: string;
}

const answerMilliseconds = 10_000;

/** Asks `url` again and again until it is stopped. */
export function load(url: string, { connections = 8, method = "GET", headers = {} }: LoadOptions = {}): Load {
  const failures: Failure[] = [];
  const servedBy = new Map<string, number>();
  let ok = 0;
  let stopping = false;

  const ask = async (): Promise<void> => {
    const at = performance.now();
    try {
      const response = await fetch(url, { method, headers, signal: AbortSignal.timeout(answerMilliseconds) });
      await response.arrayBuffer();
      if (response.status >= 500) return void failures.push({ at, what: `status ${response.status}` });
      const server = response.headers.get("x-served-by") ?? "";
      servedBy.set(server, (servedBy.get(server) ?? 0) + 1);
      ok++;
    } catch (error) {
      failures.push({ at, what: String(error) });
    }
  };
  const one = async (): Promise<void> => {
    while (!stopping) await ask();
  };
  const all = Promise.all(Array.from({ length: connections }, one));
  const stop = async (): Promise<void> => {
    stopping = true;
    await all;
  };
  return {
    get ok() {
      return ok;
    },
    servedBy,
    failures: (time = 0) => {
      const counts: { [what: string]: number } = {};
      for (const { at, what } of failures) if (at >= time) counts[what] = (counts[what] ?? 0) + 1;
      return counts;
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}
