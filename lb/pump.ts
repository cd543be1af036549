/**
 * Back-pressure, both directions alike: a sink that is full pauses its source, a sink that has drained resumes it. Hot path. The queue
 * is the sink's (io/write_queue.ts); nothing is kept here.
 */
import type { BodySink, BodySource } from "./stream.ts";

/** Passes bytes on; pauses the source, and returns false, when the sink has enough. */
export function pump(source: BodySource, sink: BodySink, bytes: Buffer, start: number, end: number): boolean {
  const isTaken = sink.writeBody(bytes, start, end);
  if (!isTaken) source.pauseBody();
  return isTaken;
}
