/** Role lb and thousands of clients that hold on to it: others are served as if they were not there, each costs a bounded little, and they are closed. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";

import { balancer, closing, get, hello } from "../harness/balancer.ts";
import { eventually } from "../harness/eventually.ts";
import { metric } from "../harness/metrics.ts";
import { residentBytes } from "../harness/proc.ts";
import { answer, exchange, rawBackend, rawClient, type RawPeer } from "../harness/raw.ts";

setDefaultTimeout(120_000);

const crowd = 5_000;
const kibibyte = 1024;

async function connected(url: string, count: number): Promise<RawPeer[]> {
  const peers: RawPeer[] = [];
  // In batches that a listener's backlog takes.
  while (peers.length < count) peers.push(...(await Promise.all(Array.from({ length: 50 }, () => rawClient(url)))));
  return peers;
}

const percentile = (values: readonly number[], share: number) =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length * share)]!;

async function timesOf(url: string, requests: number): Promise<number[]> {
  const times: number[] = [];
  for (let made = 0; made < requests; made++) {
    const at = performance.now();
    expect(await (await fetch(url)).text()).toBe("hello");
    times.push(performance.now() - at);
  }
  return times;
}

test("5,000 clients that never finish a head do not delay others, cost little, and are closed in time", async () => {
  using app = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response("hello") });
  const headerSeconds = 8;
  await using lb = await balancer([`127.0.0.1:${app.port}`], [`--header-timeout=${headerSeconds}s`]);
  const alone = percentile(await timesOf(lb.url, 200), 0.9);
  const before = residentBytes(lb.pid);
  const slow = await connected(lb.url, crowd);
  const head = get("/").slice(0, -2);
  for (const peer of slow) peer.send(head);
  await eventually(async () => (await metric(lb.adminUrl, "lb_connections_open")) >= crowd);
  const trickle = setInterval(() => slow.forEach((peer) => peer.send("X: y\r\n")), 1_000);
  const among = percentile(await timesOf(lb.url, 200), 0.9);
  const growth = (residentBytes(lb.pid) - before) / crowd;
  await eventually(() => slow.every((peer) => peer.isEnded), { timeout: 60_000, what: "all being closed" });
  clearInterval(trickle);
  expect(slow.filter((peer) => peer.received.startsWith("HTTP/1.1 408 "))).toHaveLength(crowd);
  expect(among).toBeLessThan(alone * 10 + 20);
  expect(growth).toBeLessThan(16 * kibibyte);
  for (const peer of slow) peer.end();
});

test("clients that take nothing of a large response cost a bounded little, and are cut off", async () => {
  const large = answer("x".repeat(16 * kibibyte ** 2));
  using backend = rawBackend((peer) => peer.send(large));
  await using lb = await balancer([backend], ["--body-timeout=3s"]);
  const before = residentBytes(lb.pid);
  const stalled = await connected(lb.url, 50);
  for (const peer of stalled) {
    peer.pause();
    peer.send(get("/", closing));
  }
  await eventually(async () => (await metric(lb.adminUrl, "lb_requests_in_flight")) === stalled.length);
  let most = 0;
  await eventually(
    () => {
      most = Math.max(most, residentBytes(lb.pid) - before);
      return lb.log().filter((line) => line.includes('"error":"client_timeout"')).length === stalled.length;
    },
    { timeout: 30_000, what: "all being cut off" },
  );
  expect(most / stalled.length).toBeLessThan(1.5 * kibibyte ** 2);
  for (const peer of stalled) peer.end();
  expect(await exchange(lb.url, get("/", closing))).toEndWith("x");
});

describe("a client's connections", () => {
  test("are bounded by --connections-per-client-max, those of a trusted proxy are not", async () => {
    using backend = rawBackend(hello);
    await using lb = await balancer([backend], ["--connections-per-client-max=2", "--trusted-proxies=192.0.2.0/24"]);
    using first = await rawClient(lb.url);
    using second = await rawClient(lb.url);
    for (const client of [first, second]) client.send(get("/"));
    await Promise.all([first.until("hello"), second.until("hello")]);
    expect(await exchange(lb.url, "")).toBe("");
    first.end();
    await eventually(async () => (await exchange(lb.url, get("/", closing))).endsWith("hello"));
    await using trusting = await balancer([backend], ["--connections-per-client-max=1"]);
    using one = await rawClient(trusting.url);
    one.send(get("/"));
    await one.until("hello");
    expect(await exchange(trusting.url, get("/", closing))).toEndWith("hello");
  });

  test("end after --requests-per-connection-max, and the last response says so", async () => {
    using backend = rawBackend(hello);
    await using lb = await balancer([backend], ["--requests-per-connection-max=3"]);
    const responses = await exchange(lb.url, get("/").repeat(4));
    expect(responses.match(/HTTP\/1.1 200/g)).toHaveLength(3);
    expect(responses.match(/Connection: close/g)).toHaveLength(1);
  });
});
