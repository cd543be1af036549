import { expect, test } from "bun:test";
// ioredis asks its tracing channels whether anybody listens: the answer has to be there, and to be right.
import { tracingChannel } from "node:diagnostics_channel";

import { completeTracingChannels } from "../../src/store/redis/tracing.ts";

const asked = (channel: object) => (channel as { readonly hasSubscribers?: boolean }).hasSubscribers;

test("a tracing channel has subscribers while somebody listens to one of its events, and at no other time", () => {
  completeTracingChannels();
  completeTracingChannels();
  const channel = tracingChannel("test:redis_tracing");
  expect(asked(channel)).toBe(false);
  const heard = () => undefined;
  for (const event of [channel.start, channel.end, channel.asyncStart, channel.asyncEnd, channel.error]) {
    event.subscribe(heard);
    expect(asked(channel)).toBe(true);
    event.unsubscribe(heard);
    expect(asked(channel)).toBe(false);
  }
});
