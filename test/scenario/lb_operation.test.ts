/** Role lb in operation: slow and leaving clients, weights, health, stopping, starting, what it says of itself. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { balancer, closing, get, hello, through } from "../harness/balancer.ts";
import { scaleBinary } from "../harness/binary.ts";
import { eventually } from "../harness/eventually.ts";
import { load } from "../harness/load.ts";
import { metric } from "../harness/metrics.ts";
import { runScale, startScale } from "../harness/process.ts";
import { answer, exchange, rawBackend, rawClient } from "../harness/raw.ts";
import { temporaryDirectory } from "../harness/temporary.ts";

setDefaultTimeout(60_000);

describe("clients that take their time, or leave", () => {
  test("a head that does not complete is 408, an idle connection is closed without a word", async () => {
    using backend = rawBackend(hello);
    await using lb = await balancer([backend], ["--header-timeout=300ms", "--keep-alive-timeout=300ms"]);
    using slow = await rawClient(lb.url);
    slow.send("GET / HTTP/1.1\r\nHo");
    expect(await slow.rest()).toStartWith("HTTP/1.1 408 ");
    using silent = await rawClient(lb.url);
    expect(await silent.rest()).toBe("");
    using idle = await rawClient(lb.url);
    idle.send(get("/"));
    expect(await idle.rest()).toEndWith("hello");
  });

  test("a body that stops coming is 408", async () => {
    const body = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello";
    expect(await through(() => undefined, body, ["--body-timeout=300ms"])).toStartWith("HTTP/1.1 408 ");
  });

  test("a client that leaves takes its request with it", async () => {
    let left = false;
    using backend = rawBackend(async (peer) => {
      await eventually(() => peer.isEnded);
      left = true;
    });
    await using lb = await balancer([backend]);
    const client = await rawClient(lb.url);
    client.send(get("/"));
    await eventually(() => backend.heads.length === 1);
    client.end();
    await eventually(() => left);
    await eventually(() => lb.log().some((line) => line.includes('"status":499')));
  });

  test("clients that have reset their connection before it is accepted cost nothing, not even a line of the log", async () => {
    using backend = rawBackend(hello);
    await using lb = await balancer([backend]);
    lb.kill("SIGSTOP");
    for (let n = 0; n < 50; n++) (await rawClient(lb.url)).reset();
    lb.kill("SIGCONT");
    expect(await exchange(lb.url, get("/", closing))).toEndWith("hello");
    expect(await metric(lb.adminUrl, "lb_connections_open")).toBe(0);
  });

  test("more connections than --connections-max are closed at once, and served again when there is room", async () => {
    using backend = rawBackend(hello);
    await using lb = await balancer([backend], ["--connections-max=2"]);
    using one = await rawClient(lb.url);
    const two = await rawClient(lb.url);
    one.send(get("/"));
    two.send(get("/"));
    await Promise.all([one.until("hello"), two.until("hello")]);
    using three = await rawClient(lb.url);
    expect(await three.rest()).toBe("");
    two.end();
    await eventually(async () => (await exchange(lb.url, get("/", closing))).endsWith("hello"));
  });
});

describe("weights and health", () => {
  test("requests are split 3:1, exactly over a full cycle", async () => {
    using a = rawBackend((peer) => peer.send(answer("a")));
    using b = rawBackend((peer) => peer.send(answer("b")));
    await using lb = await balancer([`${a.address},weight=3`, b]);
    using client = await rawClient(lb.url);
    const sequence: string[] = [];
    for (let n = 0; n < 40; n++) {
      client.send(get("/"));
      await client.until("\r\n\r\n");
      sequence.push(await client.bytes(1));
    }
    for (let n = 0; n < 40; n += 4)
      expect(
        sequence
          .slice(n, n + 4)
          .toSorted()
          .join(""),
      ).toBe("aaab");
  });

  test("a target that says it is draining gets nothing more, at once; each change is logged with its reason", async () => {
    let draining = false;
    const server = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      routes: {
        "/readyz": () => (draining ? Response.json({ state: "draining" }, { status: 503 }) : new Response("ok")),
      },
      fetch: () => new Response("a"),
    });
    using other = rawBackend((peer) => peer.send(answer("b")));
    await using lb = await balancer([`127.0.0.1:${server.port}`, other]);
    draining = true;
    await eventually(() => lb.log().some((line) => line.includes("healthy → draining (it says so)")));
    for (let n = 0; n < 6; n++) expect(await exchange(lb.url, get("/", closing))).toEndWith("b");
    draining = false;
    await eventually(() => lb.log().some((line) => line.includes("draining → healthy (2 passed)")));
    await server.stop(true);
  });

  test("a check that is answered without end is over when enough has come", async () => {
    using backend = rawBackend((peer) =>
      peer.send(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1388\r\n${"x".repeat(5_000)}\r\n`),
    );
    await using lb = await balancer([backend], ["--health-path=/endless", "--health-interval=20ms"]);
    await eventually(() => backend.heads.length > 20);
    expect(backend.open).toBeLessThan(5);
    expect(await metric(lb.adminUrl, "lb_target_healthy")).toBe(1);
  });

  test("kill -9 of an application under load fails no GET; it is back when it returns", async () => {
    const directory = mkdtempSync(join(tmpdir(), "scale-lb-"));
    const entry = join(directory, "entry.ts");
    writeFileSync(entry, 'export default { fetch: () => new Response("hello") };\n');
    const app = (name: string, listen: string) =>
      startScale(["--role=app", entry, `--instance=${name}`, `--listen=${listen}`, "--served-by", "--drain-delay=0"]);
    await using one = await app("one", "127.0.0.1:0");
    await using two = await app("two", "127.0.0.1:0");
    const [first, second] = [new URL(one.url).host, new URL(two.url).host];
    await using lb = await balancer([first, second]);
    await using clients = load(lb.url);
    await eventually(() => clients.servedBy.size === 2 && clients.ok > 100);
    one.kill("SIGKILL");
    await one.exited;
    await eventually(() => lb.log().some((line) => line.includes(`${first}: `) && line.includes("→ unhealthy")));
    const before = clients.ok;
    await eventually(() => clients.ok > before + 500);
    await using again = await app("again", first);
    await eventually(() => clients.servedBy.has("again"));
    expect(clients.failures()).toEqual({});
    await clients.stop();
    expect(await again.stop()).toBe(0);
    rmSync(directory, { recursive: true });
  });
});

describe("stopping", () => {
  test("SIGTERM accepts no more, closes idle connections, finishes what is under way, and exits 0", async () => {
    let finish: (() => void) | undefined;
    using backend = rawBackend(async (peer) => {
      await new Promise<void>((resolve) => (finish = resolve));
      peer.send(answer("finished"));
    });
    const lb = await balancer([backend]);
    using busy = await rawClient(lb.url);
    using idle = await rawClient(lb.url);
    busy.send(get("/"));
    await eventually(() => finish);
    lb.kill("SIGTERM");
    expect(await idle.rest()).toBe("");
    expect(
      await rawClient(lb.url).then(
        () => "accepted",
        () => "refused",
      ),
    ).toBe("refused");
    finish!();
    const response = await busy.rest();
    expect(response).toContain("\r\nConnection: close\r\n");
    expect(response).toEndWith("finished");
    expect(await lb.exited).toBe(0);
    await lb.stop();
  });

  test("a second signal does not wait", async () => {
    using backend = rawBackend(() => undefined);
    const lb = await balancer([backend]);
    using client = await rawClient(lb.url);
    client.send(get("/"));
    await eventually(() => backend.heads.length === 1);
    lb.kill("SIGTERM");
    await eventually(() => lb.log().some((line) => line.includes("ready → draining")));
    let code: number | undefined;
    void lb.exited.then((it) => (code = it));
    // One that follows the first at once is its echo, and does not count.
    await eventually(() => {
      lb.kill("SIGTERM");
      return code !== undefined;
    });
    expect(code).toBe(1);
    await lb.stop();
  });

  test("what is under way at --drain-timeout is cut", async () => {
    using backend = rawBackend(() => undefined);
    const lb = await balancer([backend], ["--drain-timeout=200ms"]);
    using client = await rawClient(lb.url);
    client.send(get("/"));
    await eventually(() => backend.heads.length === 1);
    expect(await lb.stop()).toBe(0);
    expect(await client.rest()).toBe("");
  });
});

describe("starting", () => {
  test("on a port that is taken is an error that names the fix", async () => {
    using other = rawBackend(hello);
    const { code, stderr } = await runScale(["--role=lb", "--backend=127.0.0.1:1", `--listen=${other.address}`]);
    expect(code).toBe(78);
    expect(stderr).toContain(`is taken: --listen=${other.address}`);
    expect(stderr).toContain("Fix: ");
  });

  test("without a backend is an error that names the flag", async () => {
    const { code, stderr } = await runScale(["--role=lb", "--listen=127.0.0.1:0"]);
    expect(code).toBe(78);
    expect(stderr).toContain("--backend=HOST:PORT");
  });

  test("with a backend given twice is an error that says how to weigh it", async () => {
    const backend = "--backend=127.0.0.1:1";
    const { code, stderr } = await runScale(["--role=lb", "--listen=127.0.0.1:0", backend, backend]);
    expect(code).toBe(78);
    expect(stderr).toContain(`${backend},weight=2`);
  });
});

test("each request is one access line and counts in the metrics", async () => {
  using backend = rawBackend(hello);
  await using lb = await balancer([backend]);
  await exchange(lb.url, get("/path?secret=1", closing, "X-Request-Id: find-me"));
  const line = await eventually(() => lb.log().find((each) => each.includes("find-me")));
  expect(JSON.parse(line)).toMatchObject({
    id: "find-me",
    ip: "127.0.0.1",
    method: "GET",
    path: "/path",
    route: "default",
    status: 200,
    bytes: 5,
    target: backend.address,
    connect_ms: expect.any(Number),
    first_byte_ms: expect.any(Number),
    total_ms: expect.any(Number),
  });
  await exchange(lb.url, get('/odd"\\path', closing, "X-Request-Id: find-odd"));
  const odd = await eventually(() => lb.log().find((each) => each.includes("find-odd")));
  expect(JSON.parse(odd)).toMatchObject({ path: '/odd"\\path' });
  const metrics = await (await fetch(`${lb.adminUrl}/metrics`)).text();
  expect(metrics).toContain('http_requests_total{method="GET",route="default",status="200"} 2');
  expect(metrics).toContain(`lb_target_healthy{service="default",target="${backend.address}"} 1`);
  for (const duration of ["http_request_duration", "lb_connect", "lb_first_byte"]) {
    expect(await metric(lb.adminUrl, `${duration}_seconds_count`)).toBe(2);
  }
});

test("an access line says in which phase the time went, over all targets that were tried", async () => {
  using gone = rawBackend((peer) => peer.reset());
  using slow = rawBackend(async (peer) => {
    await Bun.sleep(120);
    peer.send(answer("late"));
  });
  await using lb = await balancer([gone, slow]);
  const line = await eventually(async () => {
    await exchange(lb.url, get("/", closing));
    return lb.log().find((each) => each.includes('"retries":1'));
  });
  const retried = JSON.parse(line) as { readonly [field: string]: number };
  expect(retried).toMatchObject({ target: slow.address, status: 200 });
  expect(retried["first_byte_ms"]).toBeGreaterThan(100);
  const sum = (retried["connect_ms"] ?? 0) + retried["first_byte_ms"]!;
  expect(retried["total_ms"]).toBeGreaterThanOrEqual(sum - 0.02);
});

test("a log that is a file holds every line, whole, to the last of them", async () => {
  using backend = rawBackend(hello);
  const directory = temporaryDirectory("log");
  const path = join(directory, "lb.log");
  const binary = await scaleBinary();
  const options = ["--role=lb", "--listen=127.0.0.1:0", `--run-dir=${directory}/run`, `--backend=${backend.address}`];
  const lb = Bun.spawn(["setpriv", "--pdeathsig=KILL", binary, ...options], {
    stdout: Bun.file(path),
    stderr: "inherit",
  });
  const [, url] = await eventually(async () => /listens on (http:[\w/.:]+)/.exec(await Bun.file(path).text()));
  await eventually(async () => (await exchange(url!, get("/", closing))).includes("200 OK"));
  const requests = 500;
  for (let from = 0; from < requests; from += 50) {
    await Promise.all(
      Array.from({ length: 50 }, (_, index) =>
        exchange(url!, get(`/${"x".repeat(300)}`, closing, `X-Request-Id: id-${from + index}`)),
      ),
    );
  }
  lb.kill("SIGTERM");
  expect(await lb.exited).toBe(0);
  const lines = (await Bun.file(path).text())
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as { id?: string; message: string });
  const ids = lines.flatMap(({ id }) => (id?.startsWith("id-") ? [id] : []));
  expect(new Set(ids).size).toBe(requests);
  expect(lines.map(({ message }) => message)).toContain("draining → stopped");
});
