/** `scale dev` as a new user meets it: nothing installed, one binary, one terminal. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { lockDirectory } from "../../src/io/lock_file.ts";
import { eventually } from "../harness/eventually.ts";
import { commandOf } from "../harness/proc.ts";
import { runScale, type ScaleProcess, startScale } from "../harness/process.ts";

setDefaultTimeout(60_000);

async function withDirectory<T>(body: (directory: string) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), "scale-dev-"));
  try {
    return await body(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function said(process: ScaleProcess, text: string | RegExp): boolean {
  return process.log().some((line) => (typeof text === "string" ? line.includes(text) : text.test(line)));
}

/** Process ids of dev's children whose command line has `flag`. */
function children(dev: ScaleProcess, flag: string): number[] {
  const pids = readFileSync(`/proc/${dev.pid}/task/${dev.pid}/children`, "utf8").trim().split(" ").map(Number);
  return pids.filter((pid) => commandOf(pid).includes(flag));
}

/** Process ids of everything whose command line or working directory names `directory`. */
function processesWith(directory: string): string[] {
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return pids.map((pid) => commandOf(Number(pid))).filter((command) => command.includes(directory));
}

const askers = 8;

/** Eight ask until told to stop; resolves with how often, and every answer that was not 200. */
async function hammer(url: string, signal: AbortSignal): Promise<{ asked: number; failed: string[] }> {
  const failed: string[] = [];
  let asked = 0;
  const ask = async (): Promise<void> => {
    while (!signal.aborted) {
      asked++;
      const outcome = await fetch(url).then(
        ({ status }) => (status === 200 ? "" : String(status)),
        (error: unknown) => String(error),
      );
      if (outcome !== "") failed.push(outcome);
    }
  };
  await Promise.all(Array.from({ length: askers }, ask));
  return { asked, failed };
}

describe("with the built-in demo", () => {
  test("a signup travels from balancer to app to worker, users are printed, a second start finds them and the data", async () => {
    await withDirectory(async (cwd) => {
      const first = await startScale(["dev"], { cwd });
      await eventually(() => said(first, "log in as"));
      expect(said(first, /Ada signed up: app-\d answered in .*, the worker's welcome mail came/)).toBe(true);
      expect(said(first, `scale is up on ${first.url}`)).toBe(true);
      const login = await fetch(`${first.url}/login`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ email: "ada@example.com", password: "analytical engine" }),
      });
      expect(login.status).toBe(200);
      expect(await first.stop()).toBe(0);

      await using second = await startScale(["dev"], { cwd });
      await eventually(() => said(second, "Grace is signed up from an earlier start"));
      const posts = (await (await fetch(`${second.url}/posts`)).json()) as unknown[];
      expect(posts).toHaveLength(2);
    });
  });

  test("a second start on the same data says who holds it", async () => {
    await withDirectory(async (cwd) => {
      await using first = await startScale(["dev"], { cwd });
      // On the same port too: that it is taken is not what somebody wants to hear who started twice.
      const { code, stderr } = await runScale(["dev", `--listen=${new URL(first.url).host}`], { cwd });
      expect([code, stderr]).toEqual([1, expect.stringContaining(`is in use by process ${first.pid}`)]);
      expect(stderr).toContain("Fix: stop that process, or give this one a directory of its own with --data-dir");
    });
  });

  test("a busy port is an error that names the flag", async () => {
    await withDirectory(async (cwd) => {
      using taken = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: () => undefined } });
      const { code, stderr } = await runScale(["dev", `--listen=127.0.0.1:${taken.port}`], { cwd });
      expect(code).toBe(78);
      expect(stderr).toContain(`port ${taken.port} is taken: --listen=127.0.0.1:${taken.port}`);
    });
  });

  test("a child that is killed comes back, and meanwhile nobody notices", async () => {
    await withDirectory(async (cwd) => {
      await using dev = await startScale(["dev"], { cwd, expectErrors: [/app-1/] });
      await eventually(() => said(dev, "log in as"));
      const stop = new AbortController();
      const load = hammer(`${dev.url}/posts`, stop.signal);
      process.kill(children(dev, "--instance=app-1")[0]!, "SIGKILL");
      await eventually(() => said(dev, /app-\d ended \(signal SIGKILL\), starting it again in/));
      await eventually(() => said(dev, /app-\d is ready again/));
      stop.abort();
      const { asked, failed } = await load;
      expect(asked).toBeGreaterThan(10);
      expect(failed).toEqual([]);
    });
  });
});

describe("a start that cannot be", () => {
  /** Nothing of it is left, and the directory is anybody's again. */
  function expectNothingLeft(directory: string): void {
    expect(processesWith(directory)).toEqual([]);
    lockDirectory(join(directory, ".scale")).release();
  }

  test("for want of an entry is one sentence at once, before anything is started or written", async () => {
    await withDirectory(async (cwd) => {
      const { code, stderr, stdout } = await runScale(["dev", "x.ts", "--listen=127.0.0.1:0"], { cwd });
      expect([code, stdout]).toEqual([78, ""]);
      expect(stderr).toBe(
        `scale: there is no x.ts (looked for ${cwd}/x.ts)\nFix: scale init writes one to begin with\n`,
      );
      expect(readdirSync(cwd)).toEqual([]);
    });
  });

  test("for an entry that cannot be loaded ends with the role's own words and exit code", async () => {
    await withDirectory(async (cwd) => {
      writeFileSync(join(cwd, "entry.ts"), "export default app({ routes: { => });");
      const { code, stderr, stdout } = await runScale(["dev", "entry.ts", "--listen=127.0.0.1:0"], { cwd });
      expect(stdout).toMatch(/│ scale: .*entry\.ts cannot be loaded/);
      expect(stderr).toMatch(
        /^scale: (app-\d|worker) ended before it was ready \(code 78\); what it wrote says why\n$/,
      );
      expect(code).toBe(78);
      expectNothingLeft(cwd);
    });
  });

  test("for a run directory that cannot be written names the flag", async () => {
    await withDirectory(async (cwd) => {
      writeFileSync(join(cwd, "file"), "");
      const { code, stderr, stdout } = await runScale(["dev", "--run-dir=file/run", "--listen=127.0.0.1:0"], { cwd });
      expect([code, stdout]).toEqual([78, ""]);
      expect(stderr).toContain("--run-dir is");
      expect(stderr).toContain("Fix: --run-dir=DIRECTORY that this user can write");
    });
  });

  test.each(["postgres", "--role=app"])(
    "because of Ctrl-C as soon as there is a child %s ends with all of them",
    async (flag) => {
      await withDirectory(async (cwd) => {
        const dev = await startScale(["dev"], { cwd, ready: () => true });
        await eventually(() => children(dev, flag)[0]);
        dev.kill("SIGINT");
        expect(await dev.exited).toBe(0);
        expectNothingLeft(cwd);
        expect(dev.log().filter((line) => line.includes("ended before it was ready"))).toEqual([]);
        await dev.stop();
      });
    },
  );

  test("because the database is away says what it waits for, and Ctrl-C ends it", async () => {
    await withDirectory(async (cwd) => {
      const env = { DATABASE_URL: "postgres://nobody@127.0.0.1:1/nothing" };
      const dev = await startScale(["dev"], { cwd, env, ready: () => true, expectErrors: [/store sql/] });
      const sentence = /not ready after 5s: app-1, app-2 \(.*sql is down\); worker \(.*sql is down\)/;
      await eventually(() => said(dev, sentence), { timeout: 20_000 });
      dev.kill("SIGINT");
      expect(await dev.exited).toBe(0);
      expect(dev.log().filter((line) => sentence.test(line))).toHaveLength(1);
      expectNothingLeft(cwd);
      await dev.stop();
    });
  });
});

describe("with an entry", () => {
  const entryOf = (answer: string) => `
    import { app } from "scale";
    import { answer } from "./answer.ts";
    export default app({ routes: { "/": () => new Response(answer) } });
    // ${answer}`;

  function write(directory: string, answer: string): string {
    writeFileSync(join(directory, "answer.ts"), `export const answer: string = ${JSON.stringify(answer)};`);
    const entry = join(directory, "entry.ts");
    writeFileSync(entry, entryOf(answer));
    return entry;
  }

  test("a saved file is served within moments by fresh children, and no request fails meanwhile", async () => {
    await withDirectory(async (directory) => {
      await using dev = await startScale(["dev", write(directory, "one")]);
      expect(await (await fetch(dev.url)).text()).toBe("one");
      const stop = new AbortController();
      const load = hammer(dev.url, stop.signal);
      writeFileSync(join(directory, "answer.ts"), 'export const answer: string = "two";');
      await eventually(() => said(dev, /answer\.ts changed: reloaded in/));
      for (let n = 0; n < 10; n++) expect(await (await fetch(dev.url)).text()).toBe("two");
      stop.abort();
      expect((await load).failed).toEqual([]);
    });
  });

  test("a file that does not start leaves the old children serving, says so, and the next save mends it", async () => {
    await withDirectory(async (directory) => {
      await using dev = await startScale(["dev", write(directory, "one")], { expectErrors: [/./] });
      writeFileSync(join(directory, "answer.ts"), "export const answer = ;");
      await eventually(() => said(dev, "does not start with it; the old one goes on serving"));
      expect(await (await fetch(dev.url)).text()).toBe("one");
      writeFileSync(join(directory, "answer.ts"), 'export const answer = "three";');
      await eventually(() => said(dev, /answer\.ts changed: reloaded in/));
      expect(await (await fetch(dev.url)).text()).toBe("three");
    });
  });

  test("given as a path in a directory below, it is found, watched and served from there", async () => {
    await withDirectory(async (cwd) => {
      mkdirSync(join(cwd, "shop"));
      write(join(cwd, "shop"), "one");
      await using dev = await startScale(["dev", "shop/entry.ts"], { cwd });
      expect(await (await fetch(dev.url)).text()).toBe("one");
      writeFileSync(join(cwd, "shop/answer.ts"), 'export const answer: string = "two";');
      await eventually(() => said(dev, /answer\.ts changed: reloaded in/));
      expect(await (await fetch(dev.url)).text()).toBe("two");
      expect(readdirSync(cwd).toSorted()).toEqual([".scale", "shop"]);
    });
  });

  test("whose directory is removed, dev goes on with what runs", async () => {
    await withDirectory(async (cwd) => {
      const directory = join(cwd, "shop");
      mkdirSync(directory);
      await using dev = await startScale(["dev", write(directory, "one")], { expectErrors: [/./] });
      rmSync(directory, { recursive: true });
      await eventually(() => said(dev, "the old one goes on serving"));
      expect(await (await fetch(dev.url)).text()).toBe("one");
    });
  });

  test("when dev itself is killed, its children drain and leave nothing running", async () => {
    await withDirectory(async (directory) => {
      const dev = await startScale(["dev", write(directory, "one")]);
      const pids = children(dev, "--stop-with-parent");
      expect(pids.length).toBe(5);
      dev.kill("SIGKILL");
      await eventually(() => pids.every((pid) => commandOf(pid) === ""));
      await dev.stop();
    });
  });
});

describe("scale init", () => {
  test("writes an application that scale dev serves and whose types are clean with nothing but the binary", async () => {
    await withDirectory(async (cwd) => {
      const { code, stdout } = await runScale(["init", "shop"], { cwd });
      expect([code, stdout]).toEqual([0, expect.stringContaining("scale dev shop/entry.ts")]);
      const check = await runScale(["check"], { cwd: join(cwd, "shop"), env: { BUN_BE_BUN: "1" } });
      expect(check).toMatchObject({ code: 0 });
      await using dev = await startScale(["dev", join(cwd, "shop/entry.ts")]);
      expect(await (await fetch(`${dev.url}/hello/world`)).json()).toEqual({ hello: "world" });
      await eventually(() => said(dev, "hello from the worker"));
      const [first, second] = [await fetch(`${dev.url}/time`), await fetch(`${dev.url}/time`)];
      expect(await first.text()).toBe(await second.text());
    });
  });

  test("gives the README's example what it needs to type-check", async () => {
    await withDirectory(async (cwd) => {
      await runScale(["init"], { cwd });
      const readme = readFileSync(`${import.meta.dir}/../../README.md`, "utf8");
      const example = /```ts\n([\s\S]*?)```/.exec(readme)![1]!;
      expect(
        example
          .trimEnd()
          .split("\n")
          .filter((line) => line !== "").length,
      ).toBeLessThanOrEqual(12);
      writeFileSync(join(cwd, "entry.ts"), example);
      expect(await runScale(["check"], { cwd, env: { BUN_BE_BUN: "1" } })).toMatchObject({ code: 0 });
      writeFileSync(join(cwd, "entry.ts"), `${example}\nconst wrong: number = welcome.name;`);
      expect((await runScale(["check"], { cwd, env: { BUN_BE_BUN: "1" } })).code).toBe(1);
    });
  });

  test("overwrites nothing unless told to", async () => {
    await withDirectory(async (cwd) => {
      writeFileSync(join(cwd, "entry.ts"), "mine");
      const { code, stderr } = await runScale(["init"], { cwd });
      expect([code, stderr]).toEqual([2, expect.stringContaining("entry.ts exist already")]);
      expect(readFileSync(join(cwd, "entry.ts"), "utf8")).toBe("mine");
      expect((await runScale(["init", "--force"], { cwd })).code).toBe(0);
    });
  });
});
