/**
 * Which statements an application runs: the shapes it has sent, for `scale doctor`, and how often one request or job sends the same one.
 * Ten times the same shape for one answer is the N+1 of the guide: a join, or any($1), would have been one statement. Counted always;
 * said, with the line of the application it came from, where --repeated-statements=warn. What a plan means is cli/doctor's.
 */
import { counter } from "../ops/metrics.ts";
import { type Context, currentContext } from "./context.ts";
import type { Shape } from "./sum_of_shapes.ts";

/** The same shape more often than this within one request is worth a word. */
const repeatsMax = 10;
/** Shapes remembered. An application has as many as it has statements in its source; one that builds texts has endless ones. */
const shapesMax = 500;
/** Shapes told apart within one request. */
const shapesPerRequestMax = 100;

interface Repeated {
  readonly text: string;
  times: number;
}

interface Sent {
  readonly counts: Map<string, number>;
  /** The most repeated one over the limit. */
  repeated: Repeated | undefined;
}

const shapes = new Map<string, number>();
const sent = new WeakMap<Context, Sent>();
const repeatedStatements = counter("sql_repeated_statements_total");
let warns = false;

export function configureStatements(config: { readonly repeatedStatements?: "count" | "warn" }): void {
  warns = config.repeatedStatements === "warn";
}

/** Notes that a statement is sent. `text` has $1, $2, … in place of values: it is the shape. */
export function noteStatement(text: string): void {
  const times = shapes.get(text);
  if (times !== undefined) shapes.set(text, times + 1);
  else if (shapes.size < shapesMax) shapes.set(text, 1);
  const context = currentContext();
  if (context !== undefined) noteIn(context, text);
}

/** Every shape seen by this process and how often. */
export function statementShapes(): readonly Shape[] {
  return Array.from(shapes, ([text, times]) => ({ text, times }));
}

/** What the request has repeated beyond the limit, as a Server-Timing field for its developer; undefined for nothing, and in production. */
export function repeatedNote(context: Context): string | undefined {
  const repeated = warns ? sent.get(context)?.repeated : undefined;
  return repeated && `n-plus-one;desc="the same statement ${repeated.times} times"`;
}

function noteIn(context: Context, text: string): void {
  let own = sent.get(context);
  if (own === undefined) sent.set(context, (own = { counts: new Map(), repeated: undefined }));
  const times = (own.counts.get(text) ?? 0) + 1;
  if (times > 1 || own.counts.size < shapesPerRequestMax) own.counts.set(text, times);
  if (times <= repeatsMax) return;
  if (own.repeated === undefined || times > own.repeated.times) own.repeated = { text, times };
  if (times > repeatsMax + 1) return;
  repeatedStatements.inc();
  if (warns) warn(context, text);
}

function warn(context: Context, text: string): void {
  const at = callSite(new Error().stack ?? "");
  context.log.warn(
    { statement: text, ...(at === undefined ? {} : { at }) },
    `the same statement more than ${repeatsMax} times for one answer (N+1)${at === undefined ? "" : ` at ${at}`}. Fix: one statement with a join, or where id = any(\${ids})`,
  );
}

const ownFrame = /\/src\/(runtime|store|app|std)\/|\/\$bunfs\/|^native:|node:/;

/** The innermost line of the application. */
function callSite(stack: string): string | undefined {
  return stack
    .split("\n")
    .map((line) => /\(?((?:\/|[A-Za-z]:)[^()]+:\d+:\d+)\)?$/.exec(line.trim())?.[1])
    .find((place) => place !== undefined && !ownFrame.test(place));
}
