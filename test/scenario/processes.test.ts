/** Several processes of a role are one: one port, one admin listener, one control plane, and nobody notices when one of them dies. */
import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { hello } from "../harness/balancer.ts";
import { eventually } from "../harness/eventually.ts";
import { metric } from "../harness/metrics.ts";
import { childrenOf, isRunning } from "../harness/proc.ts";
import { runScale, startScale } from "../harness/process.ts";
import { exchange, rawBackend, rawClient, type RawPeer } from "../harness/raw.ts";

setDefaultTimeout(60_000);

const directory = mkdtempSync(join(tmpdir(), "scale-processes-"));
afterAll(() => rmSync(directory, { recursive: true }));
const entry = join(directory, "entry.ts");
writeFileSync(entry, "export default { fetch: () => new Response(String(process.pid)) };\n");

/** On a connection of its own, so that the kernel chooses a process anew. */
async function ask(url: string): Promise<string> {
  const response = await exchange(url, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  return response.slice(response.indexOf("\r\n\r\n") + 4);
}

/** Whether what was sent is answered, and not turned away. */
const isServed = (client: RawPeer) =>
  client.until("hello").then(
    () => true,
    () => false,
  );

const startApp = (...flags: readonly string[]) =>
  startScale(["--role=app", entry, "--processes=2", "--drain-delay=0", ...flags]);

describe("role app", () => {
  test("its processes share the port, and are counted together, also after one was killed", async () => {
    await using app = await startApp();
    const served = new Set<string>();
    await eventually(async () => served.add(await ask(app.url)).size === 2);
    expect(new Set([...served].map(Number))).toEqual(new Set(childrenOf(app.pid)));
    const before = await metric(app.adminUrl, "http_requests_total");
    expect(before).toBeGreaterThanOrEqual(2);

    const [victim = 0, other = 0] = childrenOf(app.pid);
    process.kill(victim, "SIGKILL");
    await eventually(() => !childrenOf(app.pid).includes(victim));
    expect(await ask(app.url)).toBe(String(other));
    expect(await metric(app.adminUrl, "http_requests_total")).toBe(before + 1);
    await eventually(async () => ![victim, other].includes(Number(await ask(app.url))));
    expect((await fetch(`${app.adminUrl}/readyz`)).status).toBe(200);
    expect(await app.stop()).toBe(0);
  });

  test("a second start on its port is an error, and so is one that cannot start; both say so with code 78", async () => {
    await using app = await startApp();
    const listen = `--listen=${new URL(app.url).host}`;
    for (const processes of ["--processes=1", "--processes=2"]) {
      const second = await runScale(["--role=app", entry, processes, listen]);
      expect(second.code).toBe(78);
      expect(second.stderr).toContain(`port ${new URL(app.url).port}`);
    }
    const broken = await runScale(["--role=app", join(directory, "none.ts"), "--processes=2", "--listen=127.0.0.1:0"]);
    expect([broken.code, broken.stdout]).toEqual([78, expect.stringContaining("none.ts")]);
  });

  test("a process that hangs while it starts is given up and started again; the other serves meanwhile", async () => {
    const hanging = join(directory, "hanging.ts");
    const marker = join(directory, "hung");
    writeFileSync(
      hanging,
      `import { mkdirSync } from "node:fs";
       const isFirst = (() => { try { mkdirSync("${marker}"); return true; } catch { return false; } })();
       if (isFirst) for (;;) Bun.sleepSync(1_000);
       export default { fetch: () => new Response("here") };`,
    );
    const flags = ["--processes=2", "--start-timeout=3s", "--drain-delay=0"];
    await using app = await startScale(["--role=app", hanging, ...flags], { ready: "listening" });
    await eventually(() => ask(app.url).then((text) => text === "here"));
    const given = () => app.log().some((line) => line.includes("is not ready after 3s (app-"));
    await eventually(given, { timeout: 20_000 });
    await eventually(async () => (await fetch(`${app.adminUrl}/readyz`, { keepalive: false })).ok, { timeout: 20_000 });
  });

  test("its processes end with their supervisor, however that ends", async () => {
    const app = await startApp();
    const children = childrenOf(app.pid);
    app.kill("SIGKILL");
    await app.exited;
    await eventually(() => children.every((pid) => !isRunning(pid)));
    await app.stop();
  });
});

describe("role lb", () => {
  test("a process that is killed is back with what the control plane knows by then", async () => {
    using a = rawBackend(hello);
    using b = rawBackend(hello);
    const flags = ["--processes=2", "--health-interval=100ms", `--backend=${a.address}`, `--backend=${b.address}`];
    await using lb = await startScale(["--role=lb", ...flags]);
    const drained = await runScale(["lb", "drain", a.address, `--run-dir=${lb.runDir}`]);
    expect(drained.code).toBe(0);
    const before = childrenOf(lb.pid);
    process.kill(before[0]!, "SIGKILL");
    await eventually(() => lb.log().some((line) => line.includes("is ready again")));
    expect(childrenOf(lb.pid)).toHaveLength(2);
    const requestsOf = (target: string) => metric(lb.adminUrl, "lb_target_requests_total", { target });
    const ofA = await requestsOf(a.address);
    for (let n = 0; n < 20; n++) expect(await ask(lb.url)).toBe("hello");
    expect(await requestsOf(a.address)).toBe(ofA);
    expect(await requestsOf(b.address)).toBe(20);
    const status = await runScale(["lb", "status", "--json", `--run-dir=${lb.runDir}`]);
    expect(status.stdout.replaceAll(/\s/g, "")).toContain('"requests":20');
  });

  test("a second start on its port is an error with code 78", async () => {
    using backend = rawBackend(hello);
    for (const processes of ["--processes=1", "--processes=2"]) {
      await using lb = await startScale(["--role=lb", processes, `--backend=${backend.address}`]);
      const listen = `--listen=${new URL(lb.url).host}`;
      const { code, stderr } = await runScale(["--role=lb", `--backend=${backend.address}`, listen]);
      expect([code, stderr]).toEqual([78, expect.stringContaining("is taken")]);
    }
  });

  test("a limit of connections beyond the limit of open files is an error that says what to do", async () => {
    const { code, stderr } = await runScale(["--role=lb", "--backend=127.0.0.1:1", "--connections-max=1000000"]);
    expect(code).toBe(78);
    expect(stderr).toContain("LimitNOFILE=2000100");
  });

  test("where all targets have max_connections the open files are the clients', until one is added that has none", async () => {
    using backend = rawBackend(hello);
    const flags = ["--role=lb", `--backend=${backend.address},max_connections=20`, "--health-interval=100ms"];
    await using lb = await startScale(flags, { under: ["prlimit", "--nofile=400:400"] });
    expect(lb.log().join("\n")).toContain("the limit of open files leaves room for 280 clients");
    const letIn = async () => {
      using clients = new DisposableStack();
      for (let served = 0; ; served++) {
        const client = clients.use(await rawClient(lb.url));
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        if (!(await isServed(client))) return served;
      }
    };
    expect(await letIn()).toBe(280);
    expect((await runScale(["lb", "add", "127.0.0.1:1", `--run-dir=${lb.runDir}`])).code).toBe(0);
    await eventually(async () => (await metric(lb.adminUrl, "lb_connections_open")) === 0);
    expect(await letIn()).toBe(150);
  });
});

test("role worker has N times the slots", async () => {
  const store = `--redis-url=file:${join(directory, "store.sqlite")}`;
  await using worker = await startScale(["--role=worker", entry, "--processes=2", "--concurrency=3", store]);
  expect(await metric(worker.adminUrl, "worker_slots")).toBe(6);
  expect(await worker.stop()).toBe(0);
});
