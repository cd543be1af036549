// What one client may ask of a running balancer, and that nobody else notices.

import { expect, test } from "bun:test";

import { balancer, closing, get, hello } from "../harness/balancer.ts";
import { eventually } from "../harness/eventually.ts";
import { metric } from "../harness/metrics.ts";
import { answer, exchange, rawBackend, rawClient } from "../harness/raw.ts";

test("a client above its rate is told when to come back, and others are served", async () => {
  using backend = rawBackend(hello);
  await using lb = await balancer([backend], ["--rate-limit=2/h"]);
  const ask = (client: string) => exchange(lb.url, get("/", closing, `X-Forwarded-For: ${client}`));
  expect(await ask("192.0.2.1")).toContain("200 OK");
  expect(await ask("192.0.2.1")).toContain("200 OK");
  const refused = await ask("192.0.2.1");
  expect(refused).toStartWith("HTTP/1.1 429 Too Many Requests\r\n");
  expect(refused).toMatch(/\r\nRetry-After: 1(800|79\d)\r\n/);
  expect(await ask("192.0.2.2")).toContain("200 OK");
  expect(backend.heads).toHaveLength(3);
  expect(await metric(lb.adminUrl, "lb_requests_limited_total", { limit: "rate" })).toBe(1);
});

test("a client with as many requests under way as it may have is refused until one is done", async () => {
  const waiting: (() => void)[] = [];
  using backend = rawBackend(async (peer) => {
    await new Promise<void>((resolve) => waiting.push(resolve));
    peer.send(answer("done"));
  });
  await using lb = await balancer([backend], ["--requests-per-client-max=1"]);
  using first = await rawClient(lb.url);
  first.send(get("/slow"));
  await eventually(() => waiting.length === 1);
  expect(await exchange(lb.url, get("/", closing))).toMatch(/^HTTP\/1.1 429 .*\r\nRetry-After: 1\r\n/s);
  using other = await rawClient(lb.url);
  other.send(get("/", "X-Forwarded-For: 192.0.2.2"));
  await eventually(() => waiting.length === 2);
  for (const release of waiting) release();
  await first.until("done");
  using again = await rawClient(lb.url);
  again.send(get("/"));
  await eventually(() => waiting.length === 3);
  waiting[2]!();
  await again.until("done");
});
