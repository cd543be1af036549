/** Orders to a running balancer: what is understood, what is refused and why, what a reload changes. No socket is opened. */
import { describe, expect, test } from "bun:test";

import { changes } from "../../lb/control/changes.ts";
import { controlHandler } from "../../lb/control/handler.ts";
import { meantService, meantTarget, readOrder } from "../../lb/control/order.ts";
import { ControlPlane, type Wanted } from "../../lb/control/plane.ts";
import { reload } from "../../lb/control/reload.ts";
import { wantedOf } from "../../lb/control/wanted.ts";
import { statusTable } from "../../src/cli/lb/table.ts";
import { parseArguments } from "../../src/config/arguments.ts";
import { loadConfig } from "../../src/config/load.ts";
import type { Config } from "../../src/config/options.ts";
import { noRules, type ServiceEntry, targetsMax } from "../../src/config/services.ts";
import type { Refused, Status } from "../../src/ops/control_protocol.ts";
import { ScaleError } from "../../src/std/errors.ts";

const { config: base } = loadConfig("lb", parseArguments(["--role=lb"]), {}, []);

function entry(name: string, backends: readonly string[], more: Partial<ServiceEntry> = {}): ServiceEntry {
  const { backend } = loadConfig(
    "lb",
    parseArguments(["--role=lb", ...backends.map((each) => `--backend=${each}`)]),
    {},
    [],
  ).config;
  return {
    name,
    hosts: [`${name}.example`],
    paths: ["/"],
    connect: [],
    stripPrefix: false,
    request: noRules,
    response: noRules,
    settings: {},
    ...more,
    backends: backend,
  };
}

function configOf(services: readonly ServiceEntry[], more: Partial<Config> = {}): Config {
  return { ...base, config: "scale.toml", routes: { services, redirects: [] }, ...more };
}

const [first, second] = ["10.0.0.1:80", "10.0.0.2:80"];
const shop = entry("shop", [`${first},weight=3`, second]);
const api = entry("api", ["10.0.1.1:80", second]);

function scene(services: readonly ServiceEntry[] = [shop, api]) {
  let file: Config | ScaleError = configOf(services);
  const started = file;
  const plane = new ControlPlane(wantedOf(started), () => undefined);
  const reread = (): Config => {
    if (file instanceof ScaleError) throw file;
    return file;
  };
  const handle = controlHandler({
    plane,
    reload: () => reload(started, reread, plane),
    load: () => [{ service: "shop", waiting: 4, targets: [{ target: first, requestsInFlight: 2, requests: 7 }] }],
    about: { version: "0", listen: "127.0.0.1:8080" },
    config: "scale.toml",
  });
  const send = async (verb: string, body?: unknown) => {
    const text = typeof body === "string" ? body : JSON.stringify(body);
    const response = await handle(
      new Request(`http://control/${verb}`, body === undefined ? {} : { method: "POST", body: text }),
    );
    return { status: response.status, body: (await response.json()) as object };
  };
  return {
    plane,
    send,
    status: async () => (await send("status")).body as Status,
    write: (next: Config | ScaleError) => void (file = next),
    /** name=weight state, of one service. */
    targets: (service: string) =>
      plane
        .status()
        .find(({ name }) => name === service)!
        .targets.map(({ name, weight, state }) => `${name}=${weight} ${state}`),
  };
}

describe("an order", () => {
  test("is carried out, in the service that has the target", async () => {
    const { send, targets, plane } = scene();
    expect(await send("drain", { target: first })).toEqual({ status: 200, body: { service: "shop", target: first } });
    expect(await send("weight", { target: "10.0.1.1:80", weight: 9 })).toMatchObject({
      status: 200,
      body: { service: "api" },
    });
    expect(await send("add", { service: "api", target: "10.0.1.9:80,weight=2" })).toMatchObject({ status: 200 });
    expect(await send("remove", { service: "api", target: second })).toMatchObject({ status: 200 });
    expect(await send("pause", { service: "shop" })).toEqual({ status: 200, body: { service: "shop" } });
    expect(targets("shop")).toEqual([`${first}=3 drained`, `${second}=1 joining`]);
    expect(targets("api")).toEqual(["10.0.1.1:80=9 joining", "10.0.1.9:80=2 joining"]);
    expect(plane.status()[0]!.isPaused).toBe(true);
    expect(await send("drain", { service: "shop", target: second })).toMatchObject({
      body: { warning: "no target of shop gets requests now" },
    });
    await send("undrain", { target: first });
    await send("resume", { service: "shop" });
    expect([targets("shop")[0], plane.status()[0]!.isPaused]).toEqual([`${first}=3 joining`, false]);
  });

  test("means the only service where it names none", async () => {
    const { send } = scene([shop]);
    expect(await send("pause", {})).toEqual({ status: 200, body: { service: "shop" } });
    expect(await send("add", { target: "10.0.0.9:80" })).toMatchObject({ status: 200 });
  });

  test("for a further target is refused where a service has as many as it may", async () => {
    const { send } = scene([
      entry(
        "shop",
        Array.from({ length: targetsMax - 1 }, (_, n) => `10.0.0.1:${n + 1}`),
      ),
    ]);
    expect(await send("add", { target: "10.0.0.9:80" })).toMatchObject({ status: 200 });
    expect(await send("add", { target: "10.0.0.8:80" })).toMatchObject({ status: 409 });
  });

  const refused: readonly (readonly [verb: string, body: unknown, status: number, message: string])[] = [
    ["drian", {}, 404, "there is no drian; there is status, add"],
    ["status", {}, 405, "status is asked for with GET"],
    ["drain", undefined, 405, "drain is asked for with POST"],
    ["drain", "{", 400, "the body is not JSON"],
    ["drain", [], 400, "the body is not an object"],
    ["drain", null, 400, "the body is not an object"],
    ["drain", {}, 400, "target is missing"],
    ["drain", { target: 1 }, 400, "target is not a string"],
    ["drain", { target: first, force: true }, 400, "force means nothing; an order has service, target, weight"],
    ["weight", { target: first }, 400, "weight is missing"],
    ["weight", { target: first, weight: 0 }, 400, 'weight is "0", expected a whole number 1–1000'],
    ["weight", { target: first, weight: 1.5 }, 400, "expected a whole number"],
    ["add", { service: "shop", target: "10.0.0.9" }, 400, "expected HOST:PORT"],
    ["add", { service: "shop", target: "10.0.0.9:0" }, 400, "expected HOST:PORT with a port"],
    ["add", { target: "10.0.0.9:80" }, 409, "which service is not said"],
    ["add", { service: "shop", target: first }, 409, `has the target ${first} already`],
    ["drain", { target: second }, 409, `several services have a target ${second}`],
    ["drain", { target: "10.0.9.9:80" }, 404, "there is no target 10.0.9.9:80"],
    ["pause", { service: "shpo" }, 404, "there is no service shpo"],
  ];
  test.each(refused)("is refused: %s %j: %p %s", async (verb, body, status, message) => {
    const { send, plane } = scene();
    const before = plane.world;
    const answer = await send(verb, body);
    expect(answer.status).toBe(status);
    expect((answer.body as Refused).error.message).toContain(message);
    expect(plane.world).toBe(before);
  });

  test("that nearly names something is told what", () => {
    const services = [
      { name: "shop", targets: [{ name: "10.0.0.1:3000" }] },
      { name: "api", targets: [{ name: "10.0.1.1:3000" }] },
    ];
    const hint = (body: () => unknown): string | undefined => {
      try {
        body();
      } catch (error) {
        return (error as ScaleError).hint;
      }
      return undefined;
    };
    expect(hint(() => meantService({ service: "shpo" }, services))).toBe("did you mean shop? There is shop, api");
    expect(hint(() => meantTarget({ target: "10.0.0.1:300" }, services))).toStartWith("did you mean 10.0.0.1:3000?");
    expect(hint(() => meantTarget({ target: "zzz", service: "api" }, services))).toBe("there is 10.0.1.1:3000");
    expect(hint(() => meantService({}, []))).toBe("one of none");
    expect(readOrder("", [])).toEqual({});
  });
});

describe("a reload", () => {
  test("makes targets and weights the file's again, and leaves drained and paused as they are", async () => {
    const { send, write, targets, plane, status } = scene();
    await send("drain", { target: first });
    await send("pause", { service: "shop" });
    await send("add", { service: "shop", target: "10.0.0.9:80" });
    await send("weight", { service: "shop", target: second, weight: 5 });
    expect((await status()).differs).toEqual([
      `service shop: target ${second}: weight 1 → 5`,
      "service shop: target 10.0.0.9:80 added, weight 1",
    ]);
    write(configOf([entry("shop", [`${first},weight=4`, second, "10.0.0.3:80"]), entry("blog", ["10.0.2.1:80"])]));
    const { body } = await send("reload", {});
    expect(body).toEqual({
      changes: [
        "service api removed",
        "service shop: target 10.0.0.9:80 removed",
        `service shop: target ${first}: weight 3 → 4`,
        `service shop: target ${second}: weight 5 → 1`,
        "service shop: target 10.0.0.3:80 added, weight 1",
        "service blog added, targets: 1",
      ],
      needRestart: [],
    });
    expect(targets("shop")).toEqual([`${first}=4 drained`, `${second}=1 joining`, "10.0.0.3:80=1 joining"]);
    expect([plane.status().map(({ name }) => name), plane.status()[0]!.isPaused]).toEqual([["shop", "blog"], true]);
    expect((await status()).differs).toEqual([]);
  });

  test("of a file with a mistake changes nothing and says what it is", async () => {
    const { send, write, plane } = scene();
    await send("weight", { target: first, weight: 7 });
    const before = plane.world;
    write(new ScaleError("configuration_invalid", "hosts in [services.shop] is wrong"));
    expect(await send("reload", {})).toEqual({
      status: 500,
      body: { error: { code: "configuration_invalid", message: "hosts in [services.shop] is wrong" } },
    });
    write(configOf([]));
    expect(await send("reload", {})).toMatchObject({ status: 500, body: { error: { code: "configuration_invalid" } } });
    expect(plane.world).toBe(before);
  });

  test("names the options that wait for a restart, compared with the start", async () => {
    const { send, write } = scene();
    const listen = { host: "127.0.0.1", port: 1 };
    write(configOf([shop, api], { listen, retriesMax: 9, healthPath: "/up" }));
    for (let n = 0; n < 2; n++) {
      expect((await send("reload", {})).body).toMatchObject({ needRestart: ["--listen", "--retries-max"] });
    }
    expect((await send("reload", {})).body).toMatchObject({ changes: [] });
  });

  test("is refused where there is no file", () => {
    const plane = new ControlPlane(wantedOf(configOf([shop])), () => undefined);
    const { config: _, ...without } = configOf([shop]);
    expect(() => reload(without as Config, () => configOf([shop]), plane)).toThrow("without --config");
  });
});

describe("what is to be balanced", () => {
  const { backend } = loadConfig("lb", parseArguments(["--role=lb", `--backend=${first}`]), {}, []).config;
  const redirect = { hosts: [], paths: ["/"], scheme: undefined, to: "/x", status: 308 } as const;

  test("is --backend for what the file leaves, or alone with --file-services=off", () => {
    expect(wantedOf(configOf([shop], { backend })).services.map(({ name }) => name)).toEqual(["shop", "default"]);
    const off = wantedOf(configOf([{ ...shop, hosts: [] }], { backend, fileServices: false }));
    expect([off.services.map(({ name }) => name), off.routes.redirects]).toEqual([["default"], []]);
  });

  test("may be redirects only", () => {
    expect(wantedOf({ ...configOf([]), routes: { services: [], redirects: [redirect] } }).services).toEqual([]);
  });

  test.each<[what: string, config: Config, message: string]>([
    ["nothing", configOf([]), "--backend is missing"],
    ["everything twice", configOf([{ ...shop, hosts: [] }], { backend }), "claim all requests both"],
    ["a name twice", configOf([{ ...shop, name: "default" }], { backend }), "claim the name default both"],
    ["a backend twice", configOf([], { backend: [...backend, ...backend] }), "is given twice"],
    [
      "a redirect of all",
      { ...configOf([], { backend }), routes: { services: [], redirects: [redirect] } },
      "claim all requests both",
    ],
  ])("cannot be %s", (_, config, message) => {
    expect(() => wantedOf(config)).toThrow(message);
  });
});

test("changes of settings, routes and redirects are said in words", () => {
  const redirect = { hosts: [], paths: ["/"], scheme: "http", to: "https://{host}{uri}", status: 308 } as const;
  const before = wantedOf(configOf([shop]));
  const after: Wanted = wantedOf({
    ...configOf([{ ...shop, hosts: ["a"], stripPrefix: true, settings: { healthPath: "/up" } }]),
    routes: {
      services: [{ ...shop, hosts: ["a"], connect: ["a:22"], stripPrefix: true, settings: { healthPath: "/up" } }],
      redirects: [redirect],
    },
  });
  expect(changes(before, after)).toEqual([
    'service shop: --health-path "/readyz" → "/up"',
    'routes of service shop: hosts ["shop.example"] → ["a"]',
    'routes of service shop: connect [] → ["a:22"]',
    "routes of service shop: stripPrefix false → true",
    "redirect by http any host / → 308 https://{host}{uri} added",
  ]);
  expect(changes(before, before)).toEqual([]);
});

test("status is a table for a person", async () => {
  const { status, send } = scene();
  await send("pause", { service: "api" });
  await send("weight", { service: "api", target: second, weight: 2 });
  expect(statusTable(await status())).toBe(`balancer ${process.pid} on 127.0.0.1:8080, version 0, scale.toml

service shop (4 requests wait)
  target       weight  state    in flight  requests  why
  10.0.0.1:80  3       joining  2          7         not checked yet
  10.0.0.2:80  1       joining  0          0         not checked yet

service api (paused)
  target       weight  state    in flight  requests  why
  10.0.1.1:80  1       joining  0          0         not checked yet
  10.0.0.2:80  2       joining  0          0         not checked yet

changed live, undone by a reload:
  service api: target 10.0.0.2:80: weight 1 → 2`);
});
