/** A balancer is replaced by its successor while it works: port, admin port and control socket change hands, and no request fails. */
import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { hello } from "../harness/balancer.ts";
import { eventually } from "../harness/eventually.ts";
import { load } from "../harness/load.ts";
import { metric } from "../harness/metrics.ts";
import { migrate, migrateBefore } from "../harness/migrate.ts";
import { runScale, type ScaleProcess, type StartOptions, startScale } from "../harness/process.ts";
import { answer, exchange, rawBackend, rawClient } from "../harness/raw.ts";
import { eachKilledAt, killedAt, straceTest } from "../harness/strace.ts";

setDefaultTimeout(60_000);

/** Outlives each of the balancers that follow one another. */
const runDir = mkdtempSync(join(tmpdir(), "scale-takeover-"));
afterAll(() => rmSync(runDir, { recursive: true }));

const request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

const closing = request.replace("Host", "Connection: close\r\nHost");

/** The successor of `old`, with what it was started with; resolves when it is ready. */
function successor(old: ScaleProcess, ...flags: readonly string[]): Promise<ScaleProcess> {
  const listen = `--listen=${new URL(old.url).host}`;
  return startScale(["--role=lb", "--takeover", listen, `--run-dir=${runDir}`, ...flags]);
}

afterAll(() => void migrate(migrateBefore));

describe("--takeover", () => {
  test("gives the successor port, admin port and control socket; the old one finishes what it has and ends", async () => {
    let finish: (() => void) | undefined;
    using backend = rawBackend(async (peer, head) => {
      if (head.includes("/slow")) await new Promise<void>((resolve) => (finish = resolve));
      peer.send(answer("hello"));
    });
    const target = `--backend=${backend.address}`;
    const old = await startScale(["--role=lb", target, `--run-dir=${runDir}`]);
    const admin = `--admin=${new URL(old.adminUrl).host}`;
    const control = `--control=${runDir}/lb-${old.pid}.sock`;
    using busy = await rawClient(old.url);
    busy.send(request.replace("/", "/slow"));
    await eventually(() => finish);

    await using young = await successor(old, target, admin, control);
    expect([young.url, young.adminUrl]).toEqual([old.url, old.adminUrl]);
    expect(await exchange(young.url, closing)).toEndWith("hello");
    const status = await runScale(["lb", "status", "--json", `--run-dir=${runDir}`]);
    expect(JSON.parse(status.stdout)).toMatchObject({ pid: young.pid });
    const again = await runScale(["--role=lb", target, `--listen=${new URL(young.url).host}`]);
    expect([again.code, again.stderr]).toEqual([78, expect.stringContaining("is taken")]);

    finish!();
    await busy.until("hello");
    expect(await old.exited).toBe(0);
    await old.stop();
  });

  test("without anybody to take over from is an ordinary start, and no way onto somebody else's port", async () => {
    using backend = rawBackend(hello);
    const flags = ["--role=lb", "--takeover", `--backend=${backend.address}`];
    await using lb = await startScale(flags);
    expect(await exchange(lb.url, closing)).toEndWith("hello");
    const stranger = await runScale([...flags, `--listen=${new URL(lb.url).host}`]);
    expect([stranger.code, stranger.stderr]).toEqual([78, expect.stringContaining("is taken")]);
  });

  function becomesReady(scale: ScaleProcess): Promise<boolean> {
    return scale.started({}).then(
      () => true,
      () => false,
    );
  }

  /** It serves, is scraped, answers its operator, and is nobody else. */
  async function isWell(lb: ScaleProcess): Promise<void> {
    await eventually(async () => (await fetch(`${lb.adminUrl}/readyz`, { keepalive: false })).ok);
    expect(await exchange(lb.url, closing)).toEndWith("hello");
    expect(await metric(lb.adminUrl, "scale_ready")).toBe(1);
    await eventually(async () => {
      const { stdout } = await runScale(["lb", "status", "--json", `--run-dir=${runDir}`]);
      return (JSON.parse(stdout) as { pid: number }).pid === lb.pid;
    });
  }

  /** A balancer under load, and successors of it that are not waited for. */
  async function underLoad(processes: number) {
    const backend = rawBackend(hello);
    const flags = [`--backend=${backend.address}`, `--run-dir=${runDir}`, `--control=${runDir}/lb.sock`];
    const all = ["--role=lb", ...flags, `--processes=${processes}`, "--health-interval=100ms"];
    const old = await startScale(all);
    const again = ["--takeover", `--listen=${new URL(old.url).host}`, `--admin=${new URL(old.adminUrl).host}`];
    const kept = load(old.url, { connections: 2 });
    return {
      old,
      start: (options: StartOptions) => startScale([...all, ...again], { ...options, ready: false }),
      /** Ends as it should when `next` has taken over. */
      takenOverBy: async (next: ScaleProcess): Promise<void> => {
        await next.started({});
        await isWell(next);
        await kept.stop();
        expect(kept.failures()).toEqual({});
        expect(await old.exited).toBe(0);
        await old.stop();
        // Where it is watched, what it does to stop may be one call too many.
        next.kill("SIGKILL");
        await next.childrenEnded();
        await next.stop();
        backend[Symbol.dispose]();
      },
    };
  }

  const steps: readonly (readonly [processes: number, call: string, deaths: number, what: string])[] = [
    [1, "bind", 4, "joins the port, claims it, opens --admin and --control"],
    [1, "listen", 4, "listens there"],
    [1, "rename", 1, "gives --control its name"],
    [1, "kill", 3, "looks for the old one, or tells it to go"],
    [2, "vfork", 2, "starts a process"],
    [2, "bind", 3, "claims the port, opens --admin and --control"],
    [2, "listen", 3, "listens there"],
    [2, "rename", 1, "gives --control its name"],
    [2, "kill", 3, "looks for the old one, or tells it to go"],
  ];
  for (const [processes, call, atLeast, what] of steps) {
    straceTest(
      `leaves the old one with all it had when the successor dies as it ${what}, with --processes=${processes}; another succeeds`,
      async () => {
        const { old, start, takenOverBy } = await underLoad(processes);
        let deaths = 0;
        let next = await start({ under: killedAt(call, 1) });
        while (!(await becomesReady(next))) {
          await next.childrenEnded();
          expect(await next.stop()).toBe(137);
          await isWell(old);
          next = await start({ under: killedAt(call, ++deaths + 1) });
        }
        expect(deaths).toBeGreaterThanOrEqual(atLeast);
        await takenOverBy(next);
      },
    );
  }

  for (const call of ["bind", "listen"]) {
    straceTest(`leaves it so too when the successor's processes die at their ${call}; another succeeds`, async () => {
      const { old, start, takenOverBy } = await underLoad(2);
      const expectErrors = [/lb-[12] ended before it was ready \(/];
      const next = await start({ under: eachKilledAt(call, 1), expectErrors });
      expect(await next.exited).toBe(1);
      await next.stop();
      await isWell(old);
      await takenOverBy(await start({}));
    });
  }

  test.each([1, 2])(
    "lends to one successor at a time, and what was lent comes back when that dies, with --processes=%d",
    async (processes) => {
      using backend = rawBackend(hello);
      const flags = ["--role=lb", `--backend=${backend.address}`, `--run-dir=${runDir}`, `--processes=${processes}`];
      const old = await startScale(flags);
      await using kept = load(old.url, { connections: 2 });
      const again = [...flags, "--takeover", `--listen=${new URL(old.url).host}`, "--health-interval=100ms"];
      // Its --admin is somebody else's, so that it is halfway for as long as it tries.
      using stranger = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: () => undefined } });
      const halfway = await startScale([...again, `--admin=127.0.0.1:${stranger.port}`], { ready: false });
      await eventually(() => old.log().some((line) => line.includes("a successor takes over")));
      const control = `${runDir}/lb-${old.pid}.sock`;
      const second = await fetch("http://control/release", { unix: control, method: "POST" });
      expect([second.status, await second.text()]).toEqual([
        409,
        expect.stringContaining("another successor takes over"),
      ]);

      halfway.kill("SIGKILL");
      await halfway.childrenEnded();
      await isWell(old);
      await halfway.stop();
      await using next = await startScale([...again, `--admin=${new URL(old.adminUrl).host}`]);
      await isWell(next);
      expect(await old.exited).toBe(0);
      await kept.stop();
      expect(kept.failures()).toEqual({});
      await old.stop();
    },
  );

  test("of one that does not answer fails, and says so; it goes on when it can", async () => {
    using backend = rawBackend(hello);
    const flags = ["--role=lb", `--backend=${backend.address}`, `--run-dir=${runDir}`];
    await using old = await startScale(flags);
    await eventually(() => old.log().some((line) => line.includes("→ healthy")));
    old.kill("SIGSTOP");
    const { code, stderr } = await runScale([...flags, "--takeover", `--listen=${new URL(old.url).host}`]);
    old.kill("SIGCONT");
    expect([code, stderr]).toEqual([1, expect.stringContaining(`balancer ${old.pid} cannot be taken over: no answer`)]);
    await isWell(old);
    await using next = await successor(old, flags[1]!);
    await isWell(next);
    expect(await old.exited).toBe(0);
  });

  test.each([1, 2])("again and again under load fails no request, with --processes=%d", async (processes) => {
    const migrates = migrate("1");
    using backend = rawBackend(hello);
    const flags = [`--backend=${backend.address}`, "--health-interval=100ms", `--processes=${processes}`];
    let lb = await startScale(["--role=lb", `--run-dir=${runDir}`, ...flags]);
    await using kept = load(lb.url, { connections: 4 });
    // Each on a connection of its own, some of which wait to be accepted at the moment their listener closes.
    await using fresh = load(lb.url, { connections: migrates ? 4 : 0, headers: { connection: "close" } });
    for (let round = 0; round < 3; round++) {
      const before = kept.ok;
      await eventually(() => kept.ok > before + 100);
      const old = lb;
      lb = await successor(old, ...flags);
      expect(await old.exited).toBe(0);
      await old.stop();
    }
    const before = kept.ok;
    await eventually(() => kept.ok > before + 100);
    await Promise.all([kept.stop(), fresh.stop()]);
    expect([kept.failures(), fresh.failures()]).toEqual([{}, {}]);
    expect(fresh.ok > 0).toBe(migrates);
    await lb.stop();
  });
});
