/** Options from flags, environment and file: precedence, messages, masking. */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { parseArguments } from "../../src/config/arguments.ts";
import { helpText } from "../../src/config/help.ts";
import { type Environment, loadConfig } from "../../src/config/load.ts";
import { printConfig } from "../../src/config/print.ts";
import { ScaleError } from "../../src/std/errors.ts";

function load(argv: readonly string[], environment: Environment = {}) {
  const args = parseArguments(argv);
  return loadConfig(args.command!, args, environment, ["scale"]);
}

function refusal(body: () => unknown): ScaleError {
  try {
    body();
  } catch (error) {
    if (error instanceof ScaleError) return error;
  }
  throw new Error("expected a ScaleError");
}

function withFile<T>(text: string, body: (path: string) => T): T {
  const directory = mkdtempSync(join(tmpdir(), "scale-config-"));
  const path = join(directory, "scale.toml");
  writeFileSync(path, text);
  try {
    return body(path);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

describe("precedence", () => {
  test("a flag beats the environment, which beats the file, which beats the default", () => {
    withFile('listen = "127.0.0.1:4001"', (path) => {
      const file = `--config=${path}`;
      expect(load(["--role=app"]).config.listen.port).toBe(3000);
      expect(load(["--role=app", file]).config.listen.port).toBe(4001);
      expect(load(["--role=app", file], { PORT: "4002" }).config.listen.port).toBe(4002);
      expect(load(["--role=app", file], { PORT: "4002", SCALE_LISTEN: "4003" }).config.listen.port).toBe(4003);
      expect(load(["--role=app", file, "--listen=4004"], { SCALE_LISTEN: "4003" }).config.listen.port).toBe(4004);
    });
  });

  test("a command's own table in the file beats the top level", () => {
    withFile('log-level = "warn"\n[lb]\nlog-level = "error"\n[worker]\nconcurrency = 3', (path) => {
      expect(load(["--role=lb", `--config=${path}`]).config.logLevel).toBe("error");
      expect(load(["--role=worker", `--config=${path}`]).config.logLevel).toBe("warn");
    });
  });

  test("migrate is an option at the top level of the file and a command as a table", () => {
    withFile('migrate = "auto"', (path) => {
      expect(load(["--role=app", `--config=${path}`]).config.migrate).toBe("auto");
    });
    withFile("[migrate]\nstatus = true", (path) => {
      expect(load(["migrate", `--config=${path}`]).config.status).toBe(true);
    });
  });

  test("PORT is the public listener's and nobody else's", () => {
    const port = (command: string) => load([command], { PORT: "4002" }).config.listen.port;
    expect(["--role=lb", "--role=app", "dev"].map(port)).toEqual([4002, 4002, 4002]);
    expect(port("postgres")).toBe(0);
    expect(helpText("postgres")).not.toContain("PORT,");
  });

  test("what a role is handed on was said to this command: by flag, environment or its own table, not to all in the file", () => {
    withFile('concurrency = 3\nnamespace = "all"\n[dev]\nnamespace = "own"', (path) => {
      const { config } = load(["dev", "--apps=1", `--config=${path}`], { SCALE_PUBLIC_URL: "http://a" });
      expect([config.concurrency, config.namespace]).toEqual([3, "own"]);
      expect([...config.given.keys()].toSorted()).toEqual(["apps", "config", "namespace", "publicUrl"]);
    });
  });

  test("several values come from repeated flags, from a list, or from white space in a variable", () => {
    const names = (loaded: ReturnType<typeof load>) =>
      loaded.config.backend.map(({ name, weight }) => `${name} ${weight}`);
    const expected = ["10.0.0.1:3000 3", "10.0.0.2:3000 1"];
    expect(names(load(["--role=lb", "--backend=10.0.0.1:3000,weight=3", "--backend", "10.0.0.2:3000"]))).toEqual(
      expected,
    );
    expect(names(load(["--role=lb"], { SCALE_BACKEND: "10.0.0.1:3000,weight=3\n 10.0.0.2:3000" }))).toEqual(expected);
    withFile('backend = ["10.0.0.1:3000,weight=3", "10.0.0.2:3000"]', (path) => {
      expect(names(load(["--role=lb", `--config=${path}`]))).toEqual(expected);
    });
  });

  test("an option another role has is ignored in the environment, which is shared, and refused as a flag, which is not", () => {
    expect(load(["--role=lb"], { SCALE_CONCURRENCY: "many", DATABASE_URL: "nonsense" }).config.command).toBe("lb");
    expect(refusal(() => load(["--role=lb", "--concurrency=3"])).message).toContain(
      "is an option of worker, dev, not of lb",
    );
  });
});

describe("a wrong option", () => {
  test("is reported together with every other one, each with its source and a fix, as exit code 78", () => {
    const error = refusal(() => load(["--role=lb", "--health-rise=x", "--bakend=1"], { SCALE_LISTEN: "80a" }));
    expect(error.exit).toBe(78);
    expect(error.message).toContain(
      '--listen is "80a", expected HOST:PORT or a port 1–65535 (from environment SCALE_LISTEN). Fix: SCALE_LISTEN=0.0.0.0:8080',
    );
    expect(error.message).toContain('--health-rise is "x", expected a whole number 1–100 (from flag --health-rise)');
    expect(error.message).toContain("--bakend is not an option. Did you mean --backend?");
  });

  test("is found by its name in the environment and in the file too", () => {
    expect(refusal(() => load(["--role=app"], { SCALE_LISTN: "1" })).message).toContain("Did you mean SCALE_LISTEN?");
    withFile('listne = "1"', (path) => {
      expect(refusal(() => load(["--role=app", `--config=${path}`])).message).toContain("Did you mean listen?");
    });
  });

  test.each([
    ["DATABASE_URL", "postgres://u:50%@db/x", "a % in the user, the password or the database that is written %25"],
    ["DATABASE_URL", "postgres:/db/x", "expected a URL such as postgres://HOST…"],
    ["REDIS_URL", "redis://:50%@cache", "written %25"],
    ["REDIS_URL", "redis:/cache", "expected a URL such as redis://HOST…"],
  ])("in %s=%s is told before anything connects, without the secret", (name, url, told) => {
    const { exit, message } = refusal(() => load(["--role=app"], { [name]: url }));
    expect(exit).toBe(78);
    expect(message).toContain(told);
    expect(message).not.toContain("50%");
  });

  const wrongFiles: [string, string][] = [
    ["[[lb]]\nretries-max = 1", "lb in FILE:1 is a command, expected one table [lb]"],
    ["lb = 1", "lb in FILE:1 is a command, expected one table [lb]"],
    [
      "[balancer]\nretries-max = 1",
      "[balancer] in FILE:1 is not a command. Fix: options at the top level or under [lb]",
    ],
    ["[[balancer]]\nretries-max = 1", "[balancer] in FILE:1 is not a command"],
    [
      '[lb]\ndatabase-url = "postgres://db/x"',
      "database-url in [lb] of FILE:2 is an option of app, worker, dev, migrate, doctor, not of lb",
    ],
    ["[worker]\nconcurency = 1", "concurency in [worker] of FILE:2 is not an option. Did you mean concurrency?"],
    ["[app.listen]\nport = 1", "listen in [app] of FILE:1 is a table, expected a value"],
    ["listen = []\n[app]\nlisten = [{ port = 1 }]", "listen in [app] of FILE:3 is a table, expected a value"],
  ];

  test.each(wrongFiles)("is found in the file, whichever command reads it: %p", (text, expected) => {
    withFile(text, (path) => {
      for (const command of ["--role=app", "dev"]) {
        const { message, exit } = refusal(() => load([command, `--config=${path}`]));
        expect([message.replaceAll(path, "FILE"), exit]).toEqual([expect.stringContaining(expected), 78]);
      }
    });
  });

  test("has a fix that can be copied to where the option stands", () => {
    const fix = (argv: readonly string[]) => refusal(() => load(argv)).message.split("Fix: ")[1];
    expect(fix(["--role=lb", "--trusted-proxies=x"])).toBe("--trusted-proxies=127.0.0.0/8");
    withFile('listen = "x"', (path) => {
      expect(fix(["--role=lb", `--config=${path}`])).toBe('listen = "0.0.0.0:8080"');
    });
  });

  test.each([
    ["--role=lb", "--health-interval=0", "a duration from 10ms to 1h"],
    ["--role=lb", "--connect-timeout=0", "a duration from 1ms to 24d"],
    ["--role=app", "--drain-timeout=30d", "a duration from 0 to 24d"],
    ["--role=app", "--idle-timeout=256s", "a duration from 1s to 255s"],
    ["--role=app", "--session-lifetime=0", "a duration from 1s to 3650d"],
  ])("is a duration that no timer could keep: %s %s", (command, flag, expected) => {
    expect(refusal(() => load([command, flag])).message).toContain(`expected ${expected} (from flag`);
  });

  test("is no duration of 0 where that means none", () => {
    const { config } = load(["--role=app", "--drain-delay=0", "--drain-timeout=0", "--sql-statement-timeout=0"]);
    expect([config.drainDelay, config.drainTimeout, config.sqlStatementTimeout]).toEqual([0, 0, 0]);
  });

  test("never shows a secret", () => {
    const error = refusal(() => load(["--role=app"], { DATABASE_URL: "mysql://app:hunter2@db/x" }));
    expect(error.message).not.toContain("hunter2");
    expect(error.message).toContain("environment DATABASE_URL");
  });

  test("is one without a value, or given twice where one is expected", () => {
    expect(refusal(() => load(["--role=app", "--listen"])).exit).toBe(2);
    const twice = refusal(() => load(["--role=app", "--listen=1", "--listen=2"]));
    expect([twice.exit, twice.message]).toEqual([78, expect.stringContaining("given 2 times, expected once")]);
  });

  test.each([
    [["deev"], "Did you mean dev?"],
    [["--role=ap"], "Did you mean app?"],
    [["dev", "--role=lb"], "leave one out"],
    [["app"], "Did you mean --role=app?"],
    [["workr", "entry.ts"], "Did you mean --role=worker?"],
    [["dev", "x.ts", "y.ts"], '"y.ts" is one argument too many: dev takes one'],
    [["--role=lb", "extra"], '"extra" is one argument too many: --role=lb takes none'],
    [["postgres", "extra"], "postgres takes none"],
    [["dev", "--listen"], "--listen needs a value"],
  ])("%p is a question of usage, exit code 2", (argv, hint) => {
    const error = refusal(() => parseArguments(argv));
    expect(error.exit).toBe(2);
    expect(error.message).toContain(hint);
  });
});

test("an unknown flag is called that, with a value or without", () => {
  for (const argv of [
    ["dev", "--bogus"],
    ["dev", "--bogus", "--apps=1"],
    ["dev", "--bogus", "value"],
  ]) {
    expect(refusal(() => load(argv)).message).toContain("--bogus is not an option");
  }
  expect(parseArguments(["dev", "-h", "--bogus"]).help).toBe(true);
});

describe("secrets", () => {
  const url = "postgres://app:hunter2@db.internal/shop";

  test("are masked by --print-config, which names every value's source", () => {
    const printed = printConfig(load(["--role=app", "--listen=4000"], { DATABASE_URL: url }));
    expect(printed).toContain("postgres://app:•••@db.internal/shop");
    expect(printed).not.toContain("hunter2");
    expect(printed).toMatch(/^listen = 4000 +# flag --listen$/m);
    expect(printed).toMatch(/^database-url = .*# environment DATABASE_URL$/m);
    expect(printed).toMatch(/^request-timeout = 25s +# default$/m);
  });

  test("in argv work and are warned about; from a file they are read without one", () => {
    expect(load(["--role=app", `--database-url=${url}`]).warnings).toHaveLength(1);
    withFile(`${url}\n`, (path) => {
      const loaded = load(["--role=app", `--database-url=@${path}`]);
      expect(loaded.config.databaseUrl).toBe(url);
      expect(loaded.warnings).toEqual([]);
    });
  });
});

describe("values of the balancer", () => {
  const lb = (flag: string) => load(["--role=lb", "--backend=127.0.0.1:1", flag]).config;

  test.each<[flag: string, name: keyof ReturnType<typeof lb>, value: unknown]>([
    [
      "--health-status=200-299,401",
      "healthStatus",
      [
        { from: 200, to: 299 },
        { from: 401, to: 401 },
      ],
    ],
    ["--health-path=/up?deep=1", "healthPath", "/up?deep=1"],
    ["--retry-statuses=502,504", "retryStatuses", [502, 504]],
    ["--retry-statuses=none", "retryStatuses", []],
    ["--sticky-cookie=lb_1", "stickyCookie", "lb_1"],
    ["--balance=ip_hash", "balance", "ip_hash"],
  ])("%s", (flag, name, value) => expect(lb(flag)[name]).toEqual(value as never));

  test.each([
    ["--health-status=200-", "such as 200-299,401"],
    ["--health-status=299-200", "such as 200-299,401"],
    ["--health-status=100", "such as 200-299,401"],
    ["--health-path=readyz", "a path that begins with /"],
    ["--health-path=/a b", "a path that begins with /"],
    ["--retry-statuses=500", "some of 502,503,504"],
    ["--sticky-cookie=a;b", "letters, digits"],
    ["--backend=127.0.0.1:2,max_connections=0", "a whole number 1–"],
    ["--backend=127.0.0.1:2,max=5", ",max_connections=N"],
    ["--balance=random", "round_robin or least_connections"],
  ])("%s is wrong, and what is right is said", (flag, wanted) => {
    expect(refusal(() => lb(flag)).message).toContain(wanted);
  });

  test("a key is never shown: not printed, not in a refusal, and warned about in argv", () => {
    const { warnings, ...loaded } = load(["--role=lb", "--backend=127.0.0.1:1", "--sticky-key=0123456789abcdef"]);
    expect(printConfig({ warnings, ...loaded })).toMatch(/^sticky-key = \[redacted\] +# flag --sticky-key$/m);
    expect(warnings).toEqual([expect.stringContaining("--sticky-key carries a secret")]);
    expect(refusal(() => lb("--sticky-key=hunter2")).message).not.toContain("hunter2");
  });
});

test("a number below 0 is what it is given for, not a flag", () => {
  expect(parseArguments(["lb", "weight", "10.0.0.1:80", "-1"]).rest).toEqual(["weight", "10.0.0.1:80", "-1"]);
  expect(() => parseArguments(["--role=lb", "-.5"])).toThrow('"-.5" is one argument too many');
  expect(() => parseArguments(["--role=lb", "-x"])).toThrow("-x is not a flag");
});

test("what follows -- is not a flag", () => {
  expect(parseArguments(["--role=app", "--", "--entry.ts"]).rest).toEqual(["--entry.ts"]);
});

test("--help of a role lists its options with their defaults and no other role's", () => {
  const text = helpText("worker");
  expect(text).toContain("--concurrency=N");
  expect(text).toContain("[10]");
  expect(text).not.toContain("--backend");
});
