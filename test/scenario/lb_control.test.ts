/** A running balancer directed by `scale lb` and by SIGHUP: every verb, draining, reloading under load, and what is said when it cannot be. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import type { Done, Refused, Status } from "../../src/ops/control_protocol.ts";
import { balancer, closing, configured, get } from "../harness/balancer.ts";
import { eventually } from "../harness/eventually.ts";
import { load } from "../harness/load.ts";
import { metric } from "../harness/metrics.ts";
import { type Finished, runScale, type ScaleProcess, startScale } from "../harness/process.ts";
import { answer, exchange, type RawBackend, rawBackend, rawClient } from "../harness/raw.ts";

setDefaultTimeout(60_000);

let directory: string;
let sockets = 0;
beforeAll(() => void (directory = mkdtempSync(join(tmpdir(), "scale-control-"))));
afterAll(() => rmSync(directory, { recursive: true }));

function socketPath(): string {
  return join(directory, `${++sockets}.sock`);
}

/** Runs `scale lb …` against the socket. */
function control(socket: string, ...words: readonly string[]): Promise<Finished> {
  return runScale(["lb", ...words, `--control=${socket}`]);
}

async function ordered<T = Done>(socket: string, ...words: readonly string[]): Promise<T> {
  const { code, stdout, stderr } = await control(socket, ...words, "--json");
  expect([code, stderr]).toEqual([0, ""]);
  return JSON.parse(stdout) as T;
}

async function targets(socket: string): Promise<readonly string[]> {
  const { services } = await ordered<Status>(socket, "status");
  return services.flatMap((service) => service.targets.map(({ name, weight, state }) => `${name}=${weight} ${state}`));
}

/** Answers with its own name. */
function named(name: string): RawBackend {
  return rawBackend((peer) => peer.send(answer(name, "200 OK", `X-Served-By: ${name}`)));
}

async function askedOf(lb: ScaleProcess, requests = 4): Promise<string[]> {
  const answers: string[] = [];
  for (let n = 0; n < requests; n++) answers.push((await exchange(lb.url, get("/", closing))).split("\r\n\r\n")[1]!);
  return [...new Set(answers)].toSorted();
}

test("every verb does what it says", async () => {
  using one = named("one");
  using two = named("two");
  const socket = socketPath();
  await using lb = await balancer([one], [`--control=${socket}`]);
  expect(statSync(socket).mode & 0o777).toBe(0o600);

  await ordered(socket, "add", `${two.address},weight=2`);
  await eventually(async () => (await targets(socket))[1] === `${two.address}=2 healthy`);
  expect(await askedOf(lb)).toEqual(["one", "two"]);
  await ordered(socket, "weight", two.address, "3");
  expect((await ordered<Status>(socket, "status")).differs).toEqual([
    `service default: target ${two.address} added, weight 3`,
  ]);
  await ordered(socket, "drain", one.address);
  expect(await targets(socket)).toEqual([`${one.address}=1 drained`, `${two.address}=3 healthy`]);
  expect(await askedOf(lb)).toEqual(["two"]);
  await ordered(socket, "undrain", one.address);
  await eventually(async () => (await askedOf(lb)).length === 2);
  expect(await ordered(socket, "remove", two.address)).toEqual({ service: "default", target: two.address });
  expect(await askedOf(lb)).toEqual(["one"]);
  expect(await targets(socket)).toEqual([`${one.address}=1 healthy`]);

  const { stdout } = await control(socket, "status");
  expect(stdout).toMatch(/^balancer \d+ on 127.0.0.1:\d+, version /);
  expect(stdout).toMatch(new RegExp(`${one.address} +1 +healthy +0 +\\d+ `));
  expect((await control(socket, "weight", one.address, "5")).stdout).toBe(`${one.address} of default has weight 5\n`);
});

describe("drain", () => {
  test("waits until the target has finished what it has", async () => {
    let finish: (() => void) | undefined;
    using slow = rawBackend(async (peer) => {
      await new Promise<void>((resolve) => (finish = resolve));
      peer.send(answer("slow"));
    });
    using other = named("other");
    const socket = socketPath();
    await using lb = await balancer([slow], [`--control=${socket}`]);
    using client = await rawClient(lb.url);
    client.send(get("/", closing));
    await eventually(() => finish);
    await ordered(socket, "add", other.address);
    await eventually(async () => (await targets(socket))[1]?.endsWith("healthy"));

    let isDrained = false;
    const drained = control(socket, "drain", slow.address).then((finished) => {
      isDrained = true;
      return finished;
    });
    await eventually(async () => (await targets(socket))[0]?.endsWith("drained"));
    expect(await askedOf(lb)).toEqual(["other"]);
    expect(isDrained).toBe(false);
    finish!();
    expect(await client.rest()).toEndWith("slow");
    expect(await drained).toMatchObject({ code: 0, stdout: `${slow.address} of default is drained\n` });
    const open = () => metric(lb.adminUrl, "lb_target_connections_open", { target: slow.address });
    await eventually(async () => (await open()) === 0);
  });

  test("says after --timeout what is still under way, and leaves the target drained", async () => {
    using stuck = rawBackend(() => undefined);
    const socket = socketPath();
    await using lb = await balancer([stuck], [`--control=${socket}`]);
    using client = await rawClient(lb.url);
    client.send(get("/"));
    await eventually(() => stuck.heads.length === 1);
    const { code, stderr } = await control(socket, "drain", stuck.address, "--timeout=200ms");
    expect([code, stderr]).toEqual([
      1,
      expect.stringContaining(`${stuck.address} still has 1 requests; it gets no more`),
    ]);
    expect(await targets(socket)).toEqual([`${stuck.address}=1 drained`]);
    expect(await exchange(lb.url, get("/", closing))).toStartWith("HTTP/1.1 503 ");
  });
});

test("a deploy by drain, kill -9, restart and undrain loses no request", async () => {
  const entry = join(import.meta.dir, "fixtures/hono.ts");
  const start = (name: string, listen: string) =>
    startScale(["--role=app", entry, `--instance=${name}`, `--listen=${listen}`, "--served-by", "--drain-delay=0"]);
  const apps = [await start("a0", "127.0.0.1:0"), await start("b0", "127.0.0.1:0")];
  const addresses = apps.map(({ url }) => new URL(url).host);
  const socket = socketPath();
  await using lb = await balancer(addresses, [`--control=${socket}`, "--access-log=off", "--slow-start=0"]);
  await using traffic = load(`${lb.url}/hello/ada`, { connections: 8 });
  for (const round of [1, 2]) {
    for (const [index, address] of addresses.entries()) {
      await ordered(socket, "drain", address);
      apps[index]!.kill("SIGKILL");
      await apps[index]!.stop();
      const name = `${"ab"[index]}${round}`;
      apps[index] = await start(name, address);
      await ordered(socket, "undrain", address);
      await eventually(() => (traffic.servedBy.get(name) ?? 0) > 20, { what: `requests to ${name}` });
    }
  }
  await traffic.stop();
  expect(traffic.failures()).toEqual({});
  expect(traffic.ok).toBeGreaterThan(100);
  for (const app of apps) await app.stop();
});

test("pause holds requests back and resume loses none of them", async () => {
  using one = named("one");
  const socket = socketPath();
  await using lb = await balancer([one], [`--control=${socket}`]);
  await using traffic = load(`${lb.url}/`, { connections: 16 });
  await eventually(() => traffic.ok > 50);
  for (let round = 0; round < 3; round++) {
    expect(await ordered(socket, "pause", "default")).toEqual({ service: "default" });
    const waiting = async () => (await ordered<Status>(socket, "status")).services[0]!.waiting;
    await eventually(async () => (await waiting()) === 16, { what: "every client waiting" });
    const reached = one.heads.length;
    expect((await control(socket, "status")).stdout).toContain("service default (paused, 16 requests wait)");
    expect([one.heads.length, await waiting()]).toEqual([reached, 16]);
    await ordered(socket, "resume");
    const before = traffic.ok;
    await eventually(() => traffic.ok > before + 50);
  }
  await traffic.stop();
  expect(traffic.failures()).toEqual({});
});

describe("a reload", () => {
  const service = (name: string, ...backends: readonly RawBackend[]) =>
    `[services.${name}]\nbackends = ${JSON.stringify(backends.map(({ address }) => address))}\n`;

  test("under load loses no request and no connection, by SIGHUP and by scale lb", async () => {
    using one = named("one");
    using two = named("two");
    using three = named("three");
    const socket = socketPath();
    await using it = await configured(service("shop", one, two), 2, [`--control=${socket}`, "--access-log=off"]);
    const { lb } = it;
    using kept = await rawClient(lb.url);
    await using traffic = load(`${lb.url}/`, { connections: 8 });
    const served = async (name: string) => {
      const before = traffic.servedBy.get(name) ?? 0;
      await eventually(() => (traffic.servedBy.get(name) ?? 0) > before + 20, { what: `requests to ${name}` });
    };
    kept.send(get("/"));
    await kept.until("\r\n\r\n");
    for (let round = 0; round < 5; round++) {
      it.write(service("shop", two, three));
      const { changes } = await ordered(socket, "reload");
      expect(changes).toEqual([
        `service shop: target ${one.address} removed`,
        `service shop: target ${three.address} added, weight 1`,
      ]);
      await served("three");
      it.write(service("shop", one, two));
      lb.kill("SIGHUP");
      await served("one");
    }
    kept.send(get("/", closing));
    expect(await kept.rest()).toContain("HTTP/1.1 200 OK");
    await traffic.stop();
    expect(traffic.failures()).toEqual({});
    expect(lb.log().filter((line) => line.includes("reloaded ")).length).toBe(10);
  });

  test("that removes a paused service lets the requests go on that wait for it", async () => {
    using one = named("one");
    using two = named("two");
    const socket = socketPath();
    const api = `[services.api]\npaths = ["/api"]\nbackends = ["${two.address}"]\n`;
    await using it = await configured(service("shop", one) + api, 2, [`--control=${socket}`]);
    await ordered(socket, "pause", "api");
    using client = await rawClient(it.lb.url);
    client.send(get("/api", closing));
    await eventually(async () => (await ordered<Status>(socket, "status")).services[1]!.waiting === 1);
    it.write(service("shop", one));
    await ordered(socket, "reload");
    expect(await client.rest()).toEndWith("two");
    expect(await exchange(it.lb.url, get("/api", closing))).toEndWith("one");
  });

  test("changes how a service is checked, routed and rewritten, and its targets stay healthy", async () => {
    using one = named("one");
    const socket = socketPath();
    await using it = await configured(service("shop", one), 1, [`--control=${socket}`]);
    const tagged = `response-headers.set = { X-Tag = "new" }\n`;
    it.write(`${service("shop", one)}hosts = ["shop.example"]\nhealth-path = "/up"\n${tagged}`);
    expect((await ordered(socket, "reload")).changes).toEqual([
      'service shop: --health-path "/readyz" → "/up"',
      'routes of service shop: hosts [] → ["shop.example"]',
      expect.stringContaining("routes of service shop: response "),
    ]);
    expect(await exchange(it.lb.url, get("/", closing))).toContain("\r\nX-Tag: new\r\n");
    expect(await exchange(it.lb.url, get("/", closing).replace("shop.", "www."))).toStartWith("HTTP/1.1 421 ");
    await eventually(() => one.heads.some((head) => head.startsWith("GET /up ")));
    expect(await targets(socket)).toEqual([`${one.address}=1 healthy`]);
  });

  test("of a bad file changes nothing and says why, with the line", async () => {
    using one = named("one");
    const socket = socketPath();
    await using it = await configured(service("shop", one), 1, [`--control=${socket}`], [/not reloaded/]);
    it.write(`${service("shop", one)}hosts = ["shop.example/"]\npths = ["/"]\n`);
    const { code, stderr } = await control(socket, "reload");
    expect(code).toBe(78);
    expect(stderr).toMatch(/hosts in \[services.shop\] is "shop.example\/", expected .*scale.toml:3\)/);
    expect(stderr).toMatch(/pths in \[services.shop\] means nothing .*scale.toml:4\)/);
    it.lb.kill("SIGHUP");
    await eventually(
      () => it.lb.log().filter((line) => line.includes("not reloaded, nothing has changed")).length === 2,
    );
    expect(await askedOf(it.lb)).toEqual(["one"]);
  });

  test("names what needs a restart, and undoes what was changed live", async () => {
    using one = named("one");
    const socket = socketPath();
    await using it = await configured(service("shop", one), 1, [`--control=${socket}`]);
    await ordered(socket, "weight", one.address, "9");
    it.write(`retries-max = 1\n${service("shop", one)}`);
    expect(await ordered(socket, "reload")).toEqual({
      changes: [`service shop: target ${one.address}: weight 9 → 1`],
      needRestart: ["--retries-max"],
    });
    expect(await targets(socket)).toEqual([`${one.address}=1 healthy`]);
    await eventually(() => it.lb.log().some((line) => line.includes("--retries-max: the new value needs a restart")));
  });
});

describe("scale lb without what it needs", () => {
  test("finds the one balancer of a run directory, and says when there is none or several", async () => {
    using one = named("one");
    const runDir = join(directory, "run");
    const none = await runScale(["lb", "status", `--run-dir=${runDir}`]);
    expect([none.code, none.stderr]).toEqual([
      1,
      expect.stringContaining(`no balancer runs that left its address in ${runDir}`),
    ]);
    const lb = await startScale(["--role=lb", `--backend=${one.address}`, `--run-dir=${runDir}`], {
      ready: () => existsSync(runDir) && readdirSync(runDir).some((name) => name.endsWith(".json")),
    });
    const { code, stdout } = await runScale(["lb", "status", "--json", `--run-dir=${runDir}`]);
    expect([code, (JSON.parse(stdout) as Status).pid]).toEqual([0, lb.pid]);
    const second = await startScale(["--role=lb", `--backend=${one.address}`, `--run-dir=${runDir}`], {
      ready: () => readdirSync(runDir).filter((name) => name.endsWith(".json")).length === 2,
    });
    const several = await runScale(["lb", "status", `--run-dir=${runDir}`]);
    expect([several.code, several.stderr]).toEqual([
      1,
      expect.stringContaining(`--control=${runDir}/lb-${lb.pid}.sock`),
    ]);
    await Promise.all([lb.stop(), second.stop()]);
    expect(readdirSync(runDir)).toEqual([]);
  });

  test.each([
    [["lb"], "scale lb takes a verb: status, add,"],
    [["lb", "drian"], "did you mean scale lb drain?"],
    [["lb", "drain"], "scale lb drain needs a target: scale lb drain TARGET"],
    [["lb", "drain", ""], "scale lb drain needs a target: scale lb drain TARGET"],
    [["lb", "help"], "scale lb --help says what each does"],
    [["lb", "status", "x"], '"x" is one too many: scale lb status'],
    [["lb", "weight", "a", "1", "x"], '"x" is one too many: scale lb weight TARGET WEIGHT'],
    [["lb", "--backend=10.0.0.1:80"], "scale --role=lb starts a balancer"],
  ])("%j", async (words, message) => {
    const { code, stderr } = await runScale(words);
    expect([code === 2 || code === 78, stderr]).toEqual([true, expect.stringContaining(message)]);
  });

  test.each(["x", "-1", "0", "1.5", "+2", "1001", "9".repeat(30)])("weight TARGET %s", async (weight) => {
    const { code, stderr } = await runScale(["lb", "weight", "10.0.0.1:80", weight]);
    const expected = `the weight is "${weight}", expected a whole number 1–1000: scale lb weight TARGET WEIGHT`;
    expect([code, stderr]).toEqual([2, expect.stringContaining(expected)]);
  });

  test("says when nobody answers, and what the balancer refuses", async () => {
    const nobody = await control(socketPath(), "status");
    expect([nobody.code, nobody.stderr]).toEqual([1, expect.stringMatching(/no balancer answers on \S+: ENOENT$/m)]);
    using one = named("one");
    const socket = socketPath();
    await using lb = await balancer([one], [`--control=${socket}`]);
    const { code, stderr } = await control(socket, "drain", one.address.slice(0, -1));
    expect([code, stderr]).toEqual([1, expect.stringContaining(`did you mean ${one.address}?`)]);
    const noFile = await control(socket, "reload");
    expect([noFile.code, noFile.stderr]).toEqual([2, expect.stringContaining("was started without --config")]);
    const big = await fetch("http://control/drain", { unix: socket, method: "POST", body: "x".repeat(70_000) });
    expect(big.status).toBe(413);
    const unknown = await fetch("http://control/x", { unix: socket });
    expect(((await unknown.json()) as Refused).error.code).toBe("not_found");
    expect(await lb.stop()).toBe(0);
    expect(() => statSync(socket)).toThrow();
  });

  test("a balancer that can have no socket serves all the same, unless --control asked for it", async () => {
    using one = named("one");
    const nowhere = "/dev/null/run";
    const lb = await startScale(["--role=lb", `--backend=${one.address}`, `--run-dir=${nowhere}`], {
      ready: () => true,
    });
    await eventually(() => lb.log().some((line) => line.includes("→ healthy")));
    expect(lb.log().some((line) => line.includes("scale lb cannot reach this balancer"))).toBe(true);
    const address = lb.log().flatMap((line) => /role lb listens on (http:[^"]*)/.exec(line)?.[1] ?? [])[0]!;
    expect(await exchange(address, get("/", closing))).toEndWith("one");
    expect(await lb.stop()).toBe(0);
    for (const path of [`${nowhere}/x.sock`, `/tmp/${"x".repeat(120)}`]) {
      const flags = ["--role=lb", "--listen=127.0.0.1:0", `--backend=${one.address}`, `--control=${path}`];
      const { code, stderr } = await runScale(flags);
      expect([code, stderr]).toEqual([78, expect.stringContaining(`--control=${path} `)]);
    }
  });

  test("a second balancer does not take the socket of a first, and a dead one's is replaced", async () => {
    using one = named("one");
    const socket = socketPath();
    const dead = await balancer([one], [`--control=${socket}`]);
    const { code, stderr } = await runScale([
      "--role=lb",
      "--listen=127.0.0.1:0",
      `--backend=${one.address}`,
      `--control=${socket}`,
    ]);
    expect([code === 0, stderr]).toEqual([false, expect.stringContaining("another balancer listens for orders")]);
    dead.kill("SIGKILL");
    await dead.stop();
    await using lb = await balancer([one], [`--control=${socket}`]);
    expect((await ordered<Status>(socket, "status")).pid).toBe(lb.pid);
  });
});
