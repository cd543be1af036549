/** What the control plane publishes after each order, and how a process's services follow it. No socket is opened: checks are not started. */
import { describe, expect, test } from "bun:test";

import { ControlPlane } from "../../lb/control/plane.ts";
import { wantedOf } from "../../lb/control/wanted.ts";
import { Services } from "../../lb/services.ts";
import { Pool } from "../../lb/upstream/pool.ts";
import type { World } from "../../lb/world.ts";
import { parseArguments } from "../../src/config/arguments.ts";
import { loadConfig } from "../../src/config/load.ts";
import { noRoutes } from "../../src/config/services.ts";

const { config } = loadConfig(
  "lb",
  parseArguments(["--backend=10.0.0.1:80,weight=3", "--backend=10.0.0.2:80"]),
  {},
  [],
);
const [first, second] = ["10.0.0.1:80", "10.0.0.2:80"];
const third = { host: "10.0.0.3", port: 80, name: "10.0.0.3:80", weight: 2, connectionsMax: 0 };

function scene() {
  const worlds: World[] = [];
  const plane = new ControlPlane(wantedOf(config), (world) => worlds.push(world));
  const services = new Services(
    (address) => new Pool(address, config),
    (report) => plane.report(report),
  );
  services.apply(plane.world);
  const service = services.get("default")!;
  const applied = (order: () => void) => {
    order();
    services.apply(plane.world);
  };
  return {
    plane,
    worlds,
    services,
    service,
    applied,
    /** name=weight routing, one a target. */
    shown: () => plane.world.services[0]!.targets.map(({ name, weight, routing }) => `${name}=${weight} ${routing}`),
  };
}

describe("the control plane", () => {
  test("begins with every target it was given", () => {
    expect(scene().shown()).toEqual([`${first}=3 routable`, `${second}=1 routable`]);
  });

  test.each<[what: string, order: (plane: ControlPlane) => void, wanted: string[]]>([
    [
      "add",
      (plane) => plane.add("default", third),
      [`${first}=3 routable`, `${second}=1 routable`, "10.0.0.3:80=2 routable"],
    ],
    ["remove", (plane) => plane.remove("default", first), [`${second}=1 routable`]],
    ["drain", (plane) => plane.drain("default", first), [`${first}=3 draining`, `${second}=1 routable`]],
    ["weight", (plane) => plane.setWeight("default", second, 7), [`${first}=3 routable`, `${second}=7 routable`]],
  ])("publishes one World after %s", (_, order, wanted) => {
    const { plane, worlds, shown } = scene();
    order(plane);
    expect(shown()).toEqual(wanted);
    expect(worlds).toEqual([plane.world]);
  });

  test("publishes nothing when an order changes nothing", () => {
    const { plane, worlds } = scene();
    plane.resume("default");
    plane.setWeight("default", first, 3);
    plane.undrain("default", first);
    expect(worlds).toEqual([]);
  });

  test("pauses and resumes a service", () => {
    const { plane } = scene();
    plane.pause("default");
    expect(plane.world.services[0]!.isPaused).toBe(true);
    plane.resume("default");
    expect(plane.world.services[0]!.isPaused).toBe(false);
  });

  test.each<[order: (plane: ControlPlane) => void, message: string]>([
    [(plane) => plane.drain("shop", first), "there is no service shop; there is default"],
    [(plane) => plane.remove("default", "10.0.0.9:80"), `has no target 10.0.0.9:80; it has ${first}, ${second}`],
    [(plane) => plane.add("default", config.backend[0]!), `has the target ${first} already`],
  ])("refuses what cannot be, and says what there is (%#)", (order, message) => {
    const { plane, worlds } = scene();
    expect(() => order(plane)).toThrow(message);
    expect(worlds).toEqual([]);
  });

  test("says in its status why a target is where it is", () => {
    const { plane } = scene();
    plane.drain("default", second);
    expect(plane.status()).toEqual([
      {
        name: "default",
        isPaused: false,
        targets: [
          { name: first, weight: 3, state: "joining", reason: "not checked yet", ejections: 0 },
          { name: second, weight: 1, state: "drained", reason: "the operator's drain", ejections: 0 },
        ],
      },
    ]);
  });

  test("publishes Worlds that survive JSON unchanged", () => {
    const { plane } = scene();
    expect(JSON.parse(JSON.stringify(plane.world))).toEqual(plane.world);
  });
});

describe("a process's services", () => {
  test("keep the targets that stay, with what they have", () => {
    const { service, plane, applied } = scene();
    const [one, two] = service.targets;
    one!.requestsInFlight = 4;
    applied(() => plane.add("default", third));
    expect(service.targets.slice(0, 2)).toEqual([one!, two!]);
    expect(service.targets[0]).toBe(one);
    applied(() => plane.setWeight("default", first, 9));
    expect([service.targets[0] === one, one!.weight, one!.requestsInFlight]).toEqual([true, 9, 4]);
  });

  test.each(["drain", "remove"] as const)("pick a target no more after %s", (verb) => {
    const { service, plane, applied } = scene();
    applied(() => plane[verb]("default", first));
    expect([1, 2, 3].map(() => service.pick([], "192.0.2.1", "")?.name)).toEqual([second, second, second]);
  });

  test("end with the service that is gone", () => {
    const { services } = scene();
    services.apply({ routes: noRoutes, services: [] });
    expect([...services.all()]).toEqual([]);
  });
});
