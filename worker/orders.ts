/**
 * What operators want of a queue reaches its workers by being asked for twice a second: jobs that are to stop, and whether any is to
 * start. Obeying is consumer.ts's, giving orders store/queue/inspect.ts's.
 *
 * A job that was told to stop may have gone back to the queue before its worker heard of it. So whoever holds it next hears of it, and
 * what nobody holds is cancelled where it is, by the slower of the two rhythms here.
 */
import type { Inspector } from "../src/store/queue/inspect.ts";
import type { QueueConsumer } from "./consumer.ts";
import { repeat } from "./repeat.ts";

const ordersIntervalMs = 500;
const tidyIntervalMs = 30_000;

/** Hears and obeys, until `gone`: also while the worker drains. */
export function followOrders(consumer: QueueConsumer, gone: AbortSignal): Promise<void> {
  return repeat(`reading orders of queue ${consumer.queue}`, gone, async () => {
    consumer.obey(await consumer.source.orders());
    return ordersIntervalMs;
  });
}

/** Forgets what has been kept long enough, and gives orders again that nobody has heard. */
export function tidy(consumer: QueueConsumer, inspector: Inspector, draining: AbortSignal): Promise<void> {
  return repeat(`tidying queue ${consumer.queue}`, draining, async () => {
    await consumer.source.prune();
    const { cancelled } = await consumer.source.orders();
    for (const id of cancelled) await inspector.cancel(id);
    return tidyIntervalMs * (0.8 + Math.random() * 0.4);
  });
}
