/** What a handler says of its job, and what it returns, as the queue keeps them: JSON of a bounded size. Payloads are enqueue.ts. */
import { log } from "../ops/log.ts";
import { messageOf, ScaleError } from "../std/errors.ts";
import { assertJson } from "./json_value.ts";

const progressBytesMax = 4 * 1024;
const resultBytesMax = 16 * 1024;

const warned = new Set<string>();

/** Throws payload_invalid for what is not JSON or larger than that: it is the handler's own doing, and it can do something else. */
export function progressText(job: string, value: unknown): string {
  const what = `the progress of job "${job}"`;
  try {
    assertJson(value, what);
  } catch (error) {
    throw new ScaleError("payload_invalid", messageOf(error), { cause: error });
  }
  const text = JSON.stringify(value);
  const bytes = Buffer.byteLength(text);
  if (bytes <= progressBytesMax) return text;
  throw new ScaleError("payload_invalid", `${what} is ${bytes} bytes, expected at most ${progressBytesMax}`, {
    hint: "say a number or a short text",
  });
}

/** Undefined for a handler that returned nothing, or what cannot be kept: its job has completed all the same. */
export function resultText(job: string, value: unknown): string | undefined {
  if (value === undefined) return undefined;
  const reason = refusal(value);
  if (reason === undefined) return JSON.stringify(value);
  if (!warned.has(job)) log.warn({ job }, `what job ${job} returns is not kept as its result: ${reason}`);
  warned.add(job);
  return undefined;
}

function refusal(value: unknown): string | undefined {
  try {
    assertJson(value, "it");
  } catch (error) {
    return messageOf(error);
  }
  const bytes = Buffer.byteLength(JSON.stringify(value));
  return bytes > resultBytesMax ? `it is ${bytes} bytes, expected at most ${resultBytesMax}` : undefined;
}
