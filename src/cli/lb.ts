/**
 * `scale lb VERB`: tells a running balancer what to do and shows what it says. The verbs are ops/control_protocol.ts'; how status is
 * shown is lb/table.ts.
 */
import { isVerb, usageOf, type VerbName, verbs } from "../config/control_verbs.ts";
import { weight } from "../config/kinds.ts";
import type { Config } from "../config/options.ts";
import type { Done, Order, Refused, Status } from "../ops/control_protocol.ts";
import { running } from "../ops/run_dir.ts";
import { closest } from "../std/closest.ts";
import { type ErrorCode, errorCodes, messageOf, ScaleError } from "../std/errors.ts";
import { ExpectedError } from "../std/units.ts";
import { statusTable } from "./lb/table.ts";

/** A balancer that does not answer is stuck: what it is asked takes no time. */
const answerMilliseconds = 10_000;
const drainPollMilliseconds = 100;

export async function run(config: Config): Promise<number> {
  const { verb, order } = orderOf(config);
  const socket = socketOf(config);
  if (verb === "status") {
    const status = await ask<Status>(socket, verb);
    print(config.json ? JSON.stringify(status, undefined, 2) : statusTable(status));
    return 0;
  }
  const done = await ask<Done>(socket, verb, order);
  if (done.warning !== undefined) process.stderr.write(`scale: ${done.warning}\n`);
  if (verb === "drain" && config.timeout > 0) await untilIdle(socket, done, config.timeout);
  print(config.json ? JSON.stringify(done, undefined, 2) : sentence(verb, done, order));
  return 0;
}

/** Throws usage for a verb that is none, or that has not what it takes. */
function orderOf({ argument: word, operands: rest, service }: Config): { verb: VerbName; order: Order } {
  const names = Object.keys(verbs).join(", ");
  if (word === undefined) throw new ScaleError("usage", `scale lb takes a verb: ${names}. scale lb --help says more`);
  if (!isVerb(word)) {
    const meant = closest(word, Object.keys(verbs));
    const hint = meant === undefined ? "scale lb --help says what each does" : `did you mean scale lb ${meant}?`;
    throw new ScaleError("usage", `"${word}" is not a verb of scale lb; there is ${names}`, { hint });
  }
  const takes: readonly string[] = verbs[word].takes;
  if (rest.length > takes.length)
    throw new ScaleError("usage", `"${rest[takes.length]}" is one too many: ${usageOf(word)}`);
  const order: { service?: string; target?: string; weight?: number } = service === undefined ? {} : { service };
  for (const [index, what] of takes.entries()) {
    const value = rest[index];
    if (value === undefined && what === "service") continue;
    if (value === undefined || value === "")
      throw new ScaleError("usage", `scale lb ${word} needs a ${what}: ${usageOf(word)}`);
    if (what === "weight") order.weight = weightOf(value);
    else order[what as "target" | "service"] = value;
  }
  return { verb: word, order };
}

function weightOf(text: string): number {
  try {
    return weight.parse(text);
  } catch (error) {
    if (!(error instanceof ExpectedError)) throw error;
    throw new ScaleError("usage", `the weight is "${text}", expected ${error.expected}: ${usageOf("weight")}`);
  }
}

/** Of the one balancer that runs here, or the one that --control names. */
function socketOf({ control, runDir }: Config): string {
  if (control !== undefined) return control;
  const sockets = running(runDir, "lb").flatMap(({ control: socket }) => socket ?? []);
  if (sockets.length === 1) return sockets[0]!;
  if (sockets.length === 0) {
    throw new ScaleError("not_found", `no balancer runs that left its address in ${runDir}`, {
      hint: "--run-dir=DIR or --control=PATH as the balancer has it, as the user that runs it; scale --role=lb starts one",
    });
  }
  throw new ScaleError("conflict", `${sockets.length} balancers run here, and which is meant is not said`, {
    hint: `one of ${sockets.map((socket) => `--control=${socket}`).join(", ")}`,
  });
}

async function ask<T>(socket: string, verb: VerbName, order?: Order): Promise<T> {
  const method = order === undefined ? "GET" : "POST";
  let answer: T | Refused;
  try {
    const response = await fetch(`http://control/${verb}`, {
      unix: socket,
      method,
      ...(order === undefined ? {} : { body: JSON.stringify(order) }),
      signal: AbortSignal.timeout(answerMilliseconds),
    });
    answer = (await response.json()) as T | Refused;
    if (response.ok) return answer as T;
  } catch (error) {
    // The message speaks of a URL, which nobody gave.
    const reason = (error as { code?: string }).code ?? messageOf(error);
    throw new ScaleError("upstream_unreachable", `no balancer answers on ${socket}: ${reason}`, {
      hint: "--control=PATH of one that runs, as the user that runs it",
      cause: error,
    });
  }
  const { code, message, hint } = (answer as Refused).error;
  // A balancer of another version may know other codes.
  throw new ScaleError(Object.hasOwn(errorCodes, code) ? (code as ErrorCode) : "internal", message, { hint });
}

/** Resolves when the target has no request left. Throws request_timeout when time is up; the target stays drained. */
async function untilIdle(socket: string, { service, target }: Done, milliseconds: number): Promise<void> {
  const deadline = performance.now() + milliseconds;
  for (;;) {
    const { services } = await ask<Status>(socket, "status");
    const targets = services.find(({ name }) => name === service)?.targets ?? [];
    const inFlight = targets.find(({ name }) => name === target)?.requestsInFlight ?? 0;
    if (inFlight === 0) return;
    if (performance.now() > deadline) {
      throw new ScaleError("request_timeout", `${target} still has ${inFlight} requests; it gets no more`, {
        hint: `wait longer with --timeout, or end it; scale lb undrain ${target} gives it requests again`,
      });
    }
    await Bun.sleep(drainPollMilliseconds);
  }
}

function sentence(
  verb: VerbName,
  { service, target, changes = [], needRestart = [] }: Done,
  { weight }: Order,
): string {
  if (verb === "reload") {
    const lines = changes.length === 0 ? ["nothing has changed"] : changes;
    return [...lines, ...needRestart.map((flag) => `${flag}: the new value needs a restart`)].join("\n");
  }
  const what = {
    status: "",
    add: `${target} is added to ${service}, and gets requests after its first passed check`,
    remove: `${target} is removed from ${service}`,
    drain: `${target} of ${service} is drained`,
    undrain: `${target} of ${service} gets requests again after its next passed check`,
    weight: `${target} of ${service} has weight ${weight}`,
    pause: `${service} is paused: its requests wait`,
    resume: `${service} is resumed`,
  };
  return what[verb];
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
