/** Services and redirects as scale.toml says them: what is read, and everything wrong at once, with its line and a fix. */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { parseArguments } from "../../src/config/arguments.ts";
import { loadConfig, type Loaded } from "../../src/config/load.ts";
import { printConfig } from "../../src/config/print.ts";
import { fieldName } from "../../src/config/route_kinds.ts";
import { TomlFile } from "../../src/config/toml.ts";
import { ScaleError } from "../../src/std/errors.ts";
import { known, knownNames } from "../../src/wire/fields.ts";

function routes(text: string, command = "--role=lb") {
  return loaded(text, ({ config }) => config.routes, command);
}

function loaded<T>(text: string, read: (loaded: Loaded) => T, command = "--role=lb"): T {
  const directory = mkdtempSync(join(tmpdir(), "scale-services-"));
  const path = join(directory, "scale.toml");
  writeFileSync(path, text);
  try {
    const args = parseArguments([command, `--config=${path}`]);
    return read(loadConfig(args.command!, args, {}, []));
  } catch (error) {
    throw new ScaleError("configuration_invalid", (error as Error).message.replaceAll(path, "FILE"));
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** The problems, one a line, without the heading. */
function problems(text: string): readonly string[] {
  try {
    routes(text);
  } catch (error) {
    if (!(error instanceof ScaleError)) throw error;
    expect(error.exit).toBe(78);
    const lines = error.message.split("\n");
    return lines.length === 1 ? lines : lines.slice(1).map((line) => line.slice(2));
  }
  throw new Error("expected problems");
}

const shop = '[services.shop]\nbackends = ["10.0.0.1:3000,weight=3", "10.0.0.2:3000"]\n';

describe("a service", () => {
  test("is its backends, for any host and every path unless it says which", () => {
    expect(routes(shop)).toEqual({
      redirects: [],
      services: [
        {
          name: "shop",
          hosts: [],
          paths: ["/"],
          connect: [],
          stripPrefix: false,
          backends: [
            { host: "10.0.0.1", port: 3000, name: "10.0.0.1:3000", weight: 3, connectionsMax: 0 },
            { host: "10.0.0.2", port: 3000, name: "10.0.0.2:3000", weight: 1, connectionsMax: 0 },
          ],
          settings: {},
          request: { remove: [], set: [], add: [] },
          response: { remove: [], set: [], add: [] },
        },
      ],
    });
  });

  test("has hosts, paths, settings and rules of its own", () => {
    const [service] = routes(
      `${shop}hosts = ["Shop.example", "*.shop.example"]
       paths = "/api"
       strip-prefix = true
       health-path = "/up"
       health-rise = 3
       request-headers = { set = { X-Env = "production" }, remove = ["X-Debug"] }
       [services.shop.response-headers.add]
       Vary = "Accept"`,
    ).services;
    expect(service).toMatchObject({
      hosts: ["shop.example", "*.shop.example"],
      paths: ["/api"],
      stripPrefix: true,
      settings: { healthPath: "/up", healthRise: 3 },
      request: { remove: ["X-Debug"], set: ["X-Env", "production"], add: [] },
      response: { remove: [], set: [], add: ["Vary", "Accept"] },
    });
  });

  test("that serves CONNECT serves nothing else unless it says what", () => {
    const connect = 'connect = ["Git.example:22", "git.example:22"]';
    expect(routes(`${shop}${connect}`).services[0]).toMatchObject({
      hosts: [],
      paths: [],
      connect: ["git.example:22"],
    });
    expect(routes(`${shop}${connect}\nhosts = "a"`).services[0]).toMatchObject({ hosts: ["a"], paths: ["/"] });
    expect(routes(`${shop}${connect}\npaths = "/a"`).services[0]).toMatchObject({ hosts: [], paths: ["/a"] });
  });

  test("is read by every command that is given the file, and changes nothing for it", () => {
    expect(routes(shop, "--role=app").services).toHaveLength(1);
  });
});

test("the manual's example is a file as it should be", () => {
  const manual = readFileSync(join(import.meta.dir, "../../docs/OPERATING.md"), "utf8");
  const section = /^## Services\n([\s\S]*?)^## /m.exec(manual)![1]!;
  const example = [...section.matchAll(/^ {4}(.*)$|^$/gm)].map(([, line = ""]) => line).join("\n");
  const { services, redirects } = routes(example);
  expect([services.map(({ name }) => name), redirects.map(({ status }) => status)]).toEqual([
    ["shop", "api", "git"],
    [308, 301],
  ]);
});

test("--print-config says who serves what", () => {
  const printed = loaded(`${shop}hosts = ["shop.example"]\n[[redirects]]\nto = "/x"`, printConfig);
  expect(printed).toMatch(/^\[services.shop\] shop.example \/ → 10.0.0.1:3000 10.0.0.2:3000 +# .*scale.toml$/m);
  const connect = 'connect = ["git.example:22"]';
  expect(loaded(`${shop}${connect}`, printConfig)).toContain("[services.shop] CONNECT git.example:22 → 10.0.0.1:3000 ");
  expect(loaded(`${shop}${connect}\nhosts = "a"`, printConfig)).toContain("shop] a /, CONNECT git.example:22 → ");
  expect(printed).toMatch(/^\[\[redirects\]\] any host \/ → 308 \/x +# .*scale.toml$/m);
});

test("a redirect has a status that keeps the method unless it says another", () => {
  const text =
    '[[redirects]]\nscheme = "http"\nto = "https://{host}{uri}"\n[[redirects]]\npaths = ["/old"]\nto = "/new{rest}"\nstatus = 301';
  expect(routes(text).redirects).toEqual([
    { hosts: [], paths: ["/"], scheme: "http", to: "https://{host}{uri}", status: 308 },
    { hosts: [], paths: ["/old"], scheme: undefined, to: "/new{rest}", status: 301 },
  ]);
});

describe("everything wrong is said at once, with its line and a fix", () => {
  test("all of a file", () => {
    expect(
      problems(
        `listen = "80a"
[services.shop]
hosts = ["shop.example:80"]
backend = ["10.0.0.1:3000"]
paths = ["api"]

[services.shop.request-headers]
set = { Host = "x", X-Ok = "a\\nb" }

[services."Big Shop"]

[[redirects]]
status = 300
to = "//evil.example"`,
      ),
    ).toEqual([
      "Big Shop in [services] cannot be used as a name, expected lower-case letters, digits, - and _, at most 63 (FILE:10). Fix: a name such as [services.shop]",
      'hosts in [services.shop] is "shop.example:80", expected a host without port, or *.HOST for every host below it; for any host leave hosts out (FILE:3). Fix: hosts = ["shop.example", "*.shop.example"]',
      expect.stringMatching(
        /^paths in \[services.shop\] is "api", expected a path such as .* \(FILE:5\)\. Fix: paths = /,
      ),
      '[services.shop] has no backends (FILE:2). Fix: backends = ["10.0.0.1:3000,weight=3", "10.0.0.2:3000"]',
      expect.stringMatching(
        /^Host in \[services.shop.request-headers.set\] cannot be used as a name, expected a field that is not scale's own: .* \(FILE:8\)/,
      ),
      expect.stringMatching(
        /^X-Ok in \[services.shop.request-headers.set\] is "a\\nb", expected visible ASCII .* \(FILE:8\)/,
      ),
      "backend in [services.shop] means nothing (FILE:4). Fix: backends, if that was meant",
      expect.stringMatching(/^to in \[\[redirects\]\] 1 is "\/\/evil.example", expected a URL such as .* \(FILE:14\)/),
      "status in [[redirects]] 1 is 300, expected 301, 302, 307 or 308 (307 and 308 keep the method) (FILE:13). Fix: status = 308",
      expect.stringContaining('--listen is "80a", expected HOST:PORT'),
    ]);
  });
});

test.each([
  [
    `${shop}hosts = ["a", "b"]\n${shop.replace("shop", "other")}hosts = ["b"]`,
    "/ of b is claimed by [services.shop] and by [services.other]",
  ],
  [`${shop}\n[[redirects]]\nto = "/x"`, "/ of any host is claimed by [services.shop] and by [[redirects]] 1"],
  ['[[redirects]]\nto = "https://{host}{uri}"', "another address than the request's"],
  ['[[redirects]]\nscheme = "https"\nto = "https://{host}{uri}"', "another address than the request's"],
  [
    `${shop}connect = "a:22"\n${shop.replace("shop", "other")}connect = "a:22"`,
    "CONNECT of a:22 is claimed by [services.shop] and by [services.other]",
  ],
  [`${shop}connect = []`, "connect in [services.shop] is [], expected at least one"],
  [`${shop}hosts = []`, "hosts in [services.shop] is [], expected at least one"],
  [`${shop}paths = []`, "paths in [services.shop] is [], expected at least one"],
  [`${shop}request-headers.set = { A = "${"x".repeat(4_096)}", B = "${"x".repeat(4_096)}" }`, "too many rules (FILE"],
  [
    `${shop}response-headers.remove = ${JSON.stringify(Array.from({ length: 65 }, (_, n) => `X-${n}`))}`,
    "too many rules",
  ],
  ["[services.shop]\nbackends = ['a:1', 'a:1']", "expected a:1 once"],
  ["services = 1", "[services] is not a table"],
  ["[services]\nshop = 1", "[services.shop] is not a table"],
  ["redirects = 1", "redirects in FILE:1 is not a list"],
  ["[redirects]\nto = '/x'", "redirects in FILE:1 is not a list"],
  ["[[redirects]]", "[[redirects]] 1 leads nowhere (FILE:1)"],
  [`${shop}response-headers = "x"`, "[services.shop.response-headers] is not a table"],
  [`${shop}hosts = [["a"]]`, 'hosts in [services.shop] is ["a"], expected a value such as'],
  [`${shop}listen = "127.0.0.1:1"`, "listen in [services.shop] means nothing"],
])("is a problem: %j", (text, expected) => {
  expect(problems(text).join("\n")).toContain(expected);
});

const values: readonly (readonly [key: string, value: string, isRight: boolean])[] = [
  ["hosts", "shop.example", true],
  ["hosts", "*.shop.example", true],
  ["hosts", "[2001:db8::1]", true],
  ["hosts", "10.0.0.1", true],
  ["hosts", "a_b.internal", true],
  ["hosts", "*", false],
  ["hosts", "shop.*", false],
  ["hosts", "*shop.example", false],
  ["hosts", "shop.example.", false],
  ["hosts", "shop..example", false],
  ["hosts", "bücher.example", false],
  ["hosts", "http://shop.example", false],
  ["hosts", "", false],
  ["connect", "git.example:22", true],
  ["connect", "[2001:db8::1]:443", true],
  ["connect", "git.example", false],
  ["connect", "git.example:0", false],
  ["connect", "git.example:022", false],
  ["connect", "git.example:65536", false],
  ["connect", "*.example:22", false],
  ["connect", "*:22", false],
  ["connect", "http://git.example:22", false],
  ["connect", "u@git.example:22", false],
  ["paths", "/", true],
  ["paths", "/.well-known/acme-challenge", true],
  ["paths", "/a/b-c_d~e.f", true],
  ["paths", "/api/", false],
  ["paths", "//api", false],
  ["paths", "/a/../b", false],
  ["paths", "/a/.", false],
  ["paths", "/a%2fb", false],
  ["paths", "/a?b", false],
  ["paths", "/a;b", false],
  ["paths", "/caf\u00e9", false],
  ["paths", "/a b", false],
];

test.each(values)("%s %j: %p", (key, value, isRight) => {
  const text = `${shop}${key} = [${JSON.stringify(value)}]`;
  if (isRight) expect(routes(text).services).toHaveLength(1);
  else
    expect(problems(text)).toEqual([expect.stringContaining(`${key} in [services.shop] is ${JSON.stringify(value)}`)]);
});

const destinations: readonly (readonly [to: string, isRight: boolean])[] = [
  ["https://{host}{uri}", true],
  ["https://www.example.com", true],
  ["https://www.example.com/", true],
  ["https://www.example.com:8443{rest}", true],
  ["http://{host}:8080/x?from={uri}", true],
  ["/new{rest}", true],
  ["/", true],
  ["//evil.example/", false],
  ["/{rest}", false],
  ["/\\evil.example", false],
  ["/x{uri}{rest}", false],
  [`/${"x".repeat(2_048)}`, false],
  ["{uri}", false],
  ["https://{host}.example.com/", false],
  ["https://www.example.com{host}", false],
  ["https://user@example.com/", false],
  ["ftp://example.com/", false],
  ["https://example.com/{path}", false],
  ["https://example.com/{", false],
  ["https://example.com/ x", false],
  ["https://example.com/\r\nSet-Cookie: a=b", false],
];

test.each(destinations)("a redirect to %j: %p", (to, isRight) => {
  const text = `[[redirects]]\nscheme = "http"\nto = ${JSON.stringify(to)}`;
  if (isRight) expect(routes(text).redirects).toHaveLength(1);
  else expect(problems(text)).toEqual([expect.stringContaining(`to in [[redirects]] 1 is ${JSON.stringify(to)}`)]);
});

describe("a field that rules may name", () => {
  const own = Object.entries(knownNames).filter(([, id]) => id !== known.accept && id !== known.cookie);
  test.each([...own.map(([name]) => name), "Content-Length", "content_length", "X-Forwarded-Prefix", "a b", ""])(
    "is not %j",
    (name) => expect(() => fieldName.parse(name)).toThrow(),
  );
  test.each(["Accept", "X-Env", "Cookie", "Strict-Transport-Security", "Server"])("may be %s", (name) =>
    expect(fieldName.parse(name)).toBe(name),
  );
});

test("the line of a key is found however it is written", () => {
  const text = `a = 1 # one
[services.shop]
hosts = [
  "a = 1",
]
"paths" = []
request-headers.set.X-Env = "x"
[ services . "big shop" ] # two
x = 1
[[redirects]]
to = "a"
[[redirects]]
to = "b"`;
  const lines: readonly (readonly [readonly (string | number)[], number | undefined])[] = [
    [["a"], 1],
    [["services", "shop"], 2],
    [["services", "shop", "hosts"], 3],
    [["services", "shop", "paths"], 6],
    [["services", "shop", "request-headers", "set", "X-Env"], 7],
    [["services", "shop", "request-headers", "set", "X-Other"], 2],
    [["services", "big shop", "x"], 9],
    [["redirects"], 10],
    [["redirects", 0, "to"], 11],
    [["redirects", 1, "to"], 13],
    [["redirects", 1, "status"], 12],
    [["nothing"], undefined],
  ];
  const file = new TomlFile("FILE", text);
  for (const [path, line] of lines) {
    expect([path, file.placeOf(path)]).toEqual([path, line === undefined ? "FILE" : `FILE:${line}`]);
  }
});

test.each([
  ["a = 1\nb = \nc = 2", 2],
  ["a = [\n1,\n2\n]\na = 3", 5],
  ["[services.shop]\nhosts = [\n", 2],
  ["= 1", 1],
  [`${"[[redirects]]\nto = '/x'\n".repeat(5_000)}to = '/y'\n${"[[redirects]]\n".repeat(5_000)}`, 10_001],
])("a file that is no TOML is refused with the line (%#)", (text, line) => {
  expect(problems(text)[0]).toContain(`cannot be read: line ${line}: `);
});
