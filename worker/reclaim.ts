/**
 * Leases in time: ours are renewed, those of silent workers taken over, jobs that are due made available. Three rhythms per queue;
 * each step is one atomic transition of the store, so any number of workers may do the same.
 *
 * With a lease of 10 s, renewed each 3 s, a killed worker's jobs run elsewhere after 10–13 s. A handler that blocks the event loop
 * for longer than the lease loses it: renewing from another thread is not here.
 */
import { log } from "../src/ops/log.ts";
import type { QueueConsumer } from "./consumer.ts";
import { countRecovered } from "./job_metrics.ts";
import { repeat } from "./repeat.ts";

const renewalsPerLease = 10 / 3;
const renewBatchMax = 500;
const promoteBatchMax = 1_000;
/** Also how late a job delayed by another process can become known here. */
const promoteIntervalMsMax = 500;
const promoteIntervalMsMin = 5;

/** Renews what the consumer holds, until `gone`: also while it drains. */
export function renewLeases(consumer: QueueConsumer, leaseMs: number, gone: AbortSignal): Promise<void> {
  return repeat(`renewing leases of queue ${consumer.queue}`, gone, async () => {
    const { leases } = consumer;
    for (let start = 0; start < leases.length; start += renewBatchMax) {
      consumer.lose(await consumer.source.renew(leases.slice(start, start + renewBatchMax)));
    }
    return leaseMs / renewalsPerLease;
  });
}

/** Takes over jobs nobody renews. */
export function reclaimLeases(consumer: QueueConsumer, leaseMs: number, draining: AbortSignal): Promise<void> {
  return repeat(`reclaiming leases of queue ${consumer.queue}`, draining, async () => {
    const room = consumer.reclaimRoom;
    const leases = room === 0 ? [] : await consumer.source.reclaim(room, leaseMs);
    if (leases.length > 0) {
      countRecovered(leases.length);
      log.warn({ queue: consumer.queue, jobs: leases.length }, "jobs of a worker that went silent are taken over");
      consumer.accept(leases);
    }
    return (leaseMs / renewalsPerLease) * (0.8 + Math.random() * 0.2);
  });
}

/** Makes due jobs available, and sleeps until the next is due. */
export function promoteJobs(consumer: QueueConsumer, draining: AbortSignal): Promise<void> {
  return repeat(`promoting jobs of queue ${consumer.queue}`, draining, async () => {
    const nextMs = await consumer.source.promote(promoteBatchMax);
    consumer.heard();
    return Math.min(promoteIntervalMsMax, Math.max(promoteIntervalMsMin, nextMs ?? promoteIntervalMsMax));
  });
}
