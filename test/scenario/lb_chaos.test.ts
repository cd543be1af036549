/** Role lb among targets that do everything wrong at once: whatever they do, each request is answered once and nothing is left behind. */
import { expect, setDefaultTimeout, test } from "bun:test";

import { balancer, closing, get } from "../harness/balancer.ts";
import { eventually } from "../harness/eventually.ts";
import { metric } from "../harness/metrics.ts";
import { answer, exchange, rawBackend, type RawPeer } from "../harness/raw.ts";
import { seeded } from "../harness/seeded.ts";

setDefaultTimeout(60_000);

type Fault = (peer: RawPeer) => void | Promise<void>;

const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
const faults: readonly Fault[] = [
  (peer) => peer.reset(),
  (peer) => peer.end(),
  (peer) => peer.send("garbage\r\n\r\n"),
  (peer) => peer.send(answer("later", "503 Service Unavailable")),
  (peer) => peer.send(answer("", "502 Bad Gateway", "Connection: close")),
  // Half an answer, and its end or a reset.
  (peer) => {
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
    peer.end();
  },
  (peer) => {
    peer.send(`${chunked}4\r\nhalf\r\n`);
    peer.reset();
  },
  // More than was said.
  (peer) => peer.send(`${answer("hello")}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil`),
  (peer) => peer.send(`HTTP/1.1 100 Continue\r\n\r\n${answer("hello")}`),
  // Nothing, for longer than the balancer waits.
  () => undefined,
];
const requests = [
  get("/", closing),
  `POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello`,
  `GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`,
];

test("requests among resets, garbage, halves, silence and full targets each get one answer; then all is at rest", async () => {
  const random = seeded(20);
  const some = <T>(of: readonly T[]): T => of[Math.floor(random() * of.length)]!;
  const faulty = () => rawBackend((peer) => (random() < 0.5 ? peer.send(answer("hello")) : some(faults)(peer)));
  using one = faulty();
  using two = faulty();
  using three = faulty();
  const backends = [one, two, three].map(({ address }) => `${address},max_connections=4`);
  const flags = ["--first-byte-timeout=100ms", "--queue-timeout=200ms", "--retry-statuses=502,503"];
  await using lb = await balancer(backends, [...flags, "--ejection-time=50ms", "--slow-start=100ms"]);

  const answers: string[] = [];
  const client = async () => {
    for (let n = 0; n < 40; n++) answers.push(await exchange(lb.url, some(requests)));
  };
  await Promise.all(Array.from({ length: 24 }, client));

  expect(answers).toHaveLength(24 * 40);
  const wrong = answers.filter(
    (text) => !/^(HTTP\/1.1 100 Continue\r\n\r\n)*HTTP\/1.1 (200|502|503|504) /.test(text) || /evil|garbage/.test(text),
  );
  expect(wrong).toEqual([]);
  expect(answers.filter((text) => text.endsWith("hello")).length).toBeGreaterThan(300);
  await eventually(async () => (await metric(lb.adminUrl, "lb_connections_open")) === 0);
  for (const name of ["lb_requests_in_flight", "lb_target_requests_in_flight", "lb_queue_depth"]) {
    expect([name, await metric(lb.adminUrl, name)]).toEqual([name, 0]);
  }
  const retries = await metric(lb.adminUrl, "lb_retries_total");
  const asked = await metric(lb.adminUrl, "lb_target_requests_total");
  expect(asked).toBeLessThanOrEqual(answers.length + retries);
  // 100 saved up, 20 of each hundred, 10 a second.
  expect(retries).toBeLessThan(100 + answers.length * 0.2 + 300);
});
