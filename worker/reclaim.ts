/**
 * Jobs in time: those of silent workers are taken over, those that are due made available. Two rhythms per queue; each step is one
 * atomic transition of the store, so any number of workers may do the same. Keeping our own leases is heartbeat.ts.
 *
 * With a lease of 10 s a killed worker's jobs run elsewhere after 10–12 s.
 */
import { log } from "../src/ops/log.ts";
import type { QueueConsumer } from "./consumer.ts";
import { countRecovered } from "./job_metrics.ts";
import { repeat } from "./repeat.ts";

const looksPerLease = 5;
const promoteBatchMax = 1_000;
/** Also how late a job delayed by another process can become known here. */
const promoteIntervalMsMax = 500;
const promoteIntervalMsMin = 5;

/** Takes over jobs nobody renews. */
export function reclaimLeases(consumer: QueueConsumer, leaseMs: number, draining: AbortSignal): Promise<void> {
  return repeat(`reclaiming leases of queue ${consumer.queue}`, draining, async () => {
    const room = consumer.reclaimRoom;
    const askedAt = performance.now();
    const leases = room === 0 ? [] : await consumer.source.reclaim(room, leaseMs);
    if (leases.length > 0) {
      countRecovered(leases.length);
      log.warn({ queue: consumer.queue, jobs: leases.length }, "jobs of a worker that went silent are taken over");
      await consumer.acceptIfOurs(leases, askedAt);
    }
    return (leaseMs / looksPerLease) * (0.8 + Math.random() * 0.2);
  });
}

/** Makes due jobs available, and sleeps until the next is due. */
export function promoteJobs(consumer: QueueConsumer, draining: AbortSignal): Promise<void> {
  return repeat(`promoting jobs of queue ${consumer.queue}`, draining, async () => {
    const nextMs = await consumer.source.promote(promoteBatchMax);
    consumer.taking.heard();
    return Math.min(promoteIntervalMsMax, Math.max(promoteIntervalMsMin, nextMs ?? promoteIntervalMsMax));
  });
}
