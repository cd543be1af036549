/**
 * Bun's diagnostics channels do not say whether anybody listens (Node 22: TracingChannel.hasSubscribers), and ioredis, which asks, then
 * takes it that somebody does: each command got a copy of its arguments and two promises for nobody.
 */
import { type Channel, tracingChannel } from "node:diagnostics_channel";

const events = ["start", "end", "asyncStart", "asyncEnd", "error"] as const;

/** Adds what is missing, as Node documents it. Whoever subscribes is still told of every command. */
export function completeTracingChannels(): void {
  const prototype = Object.getPrototypeOf(tracingChannel("scale:redis")) as object;
  if ("hasSubscribers" in prototype) return;
  Object.defineProperty(prototype, "hasSubscribers", {
    get(this: { readonly [event in (typeof events)[number]]: Channel }) {
      for (const event of events) if (this[event].hasSubscribers) return true;
      return false;
    },
  });
}
