/**
 * Role lb under requests that are nearly right: a second parser says what each stream of bytes means; exactly those requests must arrive at a
 * backend that reads as strictly, and where a stream is wrong the connection must be answered once more and closed.
 * As part of the suite it is the same every time; FUZZ_SECONDS=600 fuzzes for that long with something new, FUZZ_SEED repeats a run.
 */
import { expect, setDefaultTimeout, test } from "bun:test";

import { balancer } from "../harness/balancer.ts";
import { Mutator } from "../harness/fuzz.ts";
import { readRequest } from "../harness/reference.ts";

const seconds = Number(process.env["FUZZ_SECONDS"] ?? 0);
const seed = Number(process.env["FUZZ_SEED"] ?? (seconds > 0 ? Math.floor(Math.random() * 2 ** 31) : 20_26));
setDefaultTimeout((seconds + 120) * 1_000);

/** Of a run that is not given its time: about 20 s. */
const streamsMax = 15_000;

const streamMilliseconds = 5_000;
const ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/** What a backend understood of its connections, health checks aside. */
interface Recorder extends Disposable {
  readonly address: string;
  /** Requests since the last call. */
  take(): string[];
}

const describeRequest = (it: { method: string; target: string; host: string; body: string }) =>
  `${it.method} ${it.target} to ${it.host} with ${JSON.stringify(it.body)}`;

function recorder(): Recorder {
  const requests: string[] = [];
  const listener = Bun.listen<{ text: string }>({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open: (socket) => void (socket.data = { text: "" }),
      data(socket, chunk) {
        socket.data.text += chunk.toString("latin1");
        for (;;) {
          const reading = readRequest(socket.data.text);
          if (reading.kind === "bad") requests.push(`BAD (${reading.why}): ${JSON.stringify(socket.data.text)}`);
          if (reading.kind !== "request") return;
          if (reading.target !== "/readyz") requests.push(describeRequest(reading));
          socket.data.text = socket.data.text.slice(reading.length);
          socket.write(ok);
        }
      },
    },
  });
  return {
    address: `127.0.0.1:${listener.port}`,
    take: () => requests.splice(0),
    [Symbol.dispose]: () => listener.stop(true),
  };
}

interface Meaning {
  readonly requests: string[];
  readonly end: "closes" | "bad" | "incomplete";
  readonly why?: string;
}

/** What a stream of bytes means, up to where it ends or goes wrong. `target` is asked for by its own name where the client names no host. */
function meaningOf(stream: string, target: string): Meaning {
  const requests: string[] = [];
  let rest = stream;
  for (;;) {
    const reading = readRequest(rest);
    if (reading.kind !== "request")
      return { requests, end: reading.kind, ...("why" in reading ? { why: reading.why } : {}) };
    requests.push(describeRequest({ ...reading, host: reading.host || target }));
    if (reading.closes) return { requests, end: "closes" };
    rest = rest.slice(reading.length);
  }
}

/** Sends pieces on a connection of its own and returns what comes back; where nothing more can follow, ends it after `answers` responses. */
async function converse(url: string, pieces: readonly string[], answers: number | undefined): Promise<string> {
  const { hostname, port } = new URL(url);
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let received = "";
  const late = setTimeout(
    () => reject(new Error(`the connection is open after ${streamMilliseconds} ms; received ${received}`)),
    streamMilliseconds,
  );
  const socket = await Bun.connect({
    hostname,
    port: Number(port),
    socket: {
      data(it, chunk) {
        received += chunk.toString("latin1");
        if (answers !== undefined && finals(received).length >= answers) it.end();
      },
      close: () => resolve(received),
      error: () => resolve(received),
    },
  });
  for (const piece of pieces) {
    socket.write(Buffer.from(piece, "latin1"));
    if (pieces.length > 1) await Bun.sleep(1);
  }
  if (answers === 0) socket.end();
  return promise.finally(() => clearTimeout(late));
}

const finals = (received: string): string[] => received.match(/HTTP\/1\.1 [2-5]\d\d /g) ?? [];

test(`what arrives is what was meant, and nothing else (FUZZ_SEED=${seed})`, async () => {
  using backend = recorder();
  await using lb = await balancer([backend.address], ["--health-interval=1h", "--access-log=off", "--body-timeout=2s"]);
  const mutator = new Mutator(seed);
  const counts = { streams: 0, closes: 0, bad: 0, incomplete: 0 };
  const until = performance.now() + seconds * 1_000;
  while (seconds > 0 ? performance.now() < until : counts.streams < streamsMax) {
    const stream = mutator.stream();
    const meaning = meaningOf(stream, backend.address);
    const answers = meaning.end === "incomplete" ? meaning.requests.length : undefined;
    const received = await converse(lb.url, mutator.pieces(stream), answers).catch(String);
    const statuses = finals(received).map((line) => line.slice(9, 12));
    // What is already wrong need not be complete to be refused.
    const isRefused =
      meaning.end === "bad" || (meaning.end === "incomplete" && statuses.length > meaning.requests.length);
    const refusals = isRefused ? 1 : 0;
    const wanted = { arrived: meaning.requests, answers: meaning.requests.length + refusals };
    const got = { arrived: backend.take(), answers: statuses.length };
    expect(
      got,
      `${JSON.stringify(stream)} is ${JSON.stringify(meaning)}; the answer was ${JSON.stringify(received)}`,
    ).toEqual(wanted);
    if (refusals === 1) expect(statuses.at(-1)).toMatch(/^(4|5)/);
    counts.streams++;
    counts[meaning.end]++;
  }
  // A fuzz that sends only one kind of stream shows nothing.
  expect(Math.min(counts.closes, counts.bad, counts.incomplete)).toBeGreaterThan(counts.streams / 100);
});
