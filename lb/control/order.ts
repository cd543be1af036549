/** What an order means: its body read and checked, and the service and target found that it names, or that there is only one of. Pure. */
import { type Backend, backend, type Kind, weight } from "../../src/config/kinds.ts";
import type { Order } from "../../src/ops/control_protocol.ts";
import { closest } from "../../src/std/closest.ts";
import { messageOf, ScaleError } from "../../src/std/errors.ts";
import { ExpectedError } from "../../src/std/units.ts";

/** The part of a service's status that an order is looked up in. */
interface Named {
  readonly name: string;
  readonly targets: readonly { readonly name: string }[];
}

const types = { service: "string", target: "string", weight: "number" } as const;

/** Throws request_malformed for what is not an order with what the verb takes. */
export function readOrder(body: string, takes: readonly string[]): Order {
  let order: unknown;
  try {
    order = JSON.parse(body === "" ? "{}" : body);
  } catch (error) {
    throw malformed(`the body is not JSON: ${messageOf(error)}`);
  }
  if (typeof order !== "object" || order === null || Array.isArray(order)) throw malformed("the body is not an object");
  for (const [key, value] of Object.entries(order)) {
    if (!Object.hasOwn(types, key))
      throw malformed(`${key} means nothing; an order has ${Object.keys(types).join(", ")}`);
    if (typeof value !== types[key as keyof typeof types])
      throw malformed(`${key} is not a ${types[key as keyof typeof types]}`);
  }
  for (const key of takes) {
    if (key !== "service" && !Object.hasOwn(order, key)) throw malformed(`${key} is missing`);
  }
  return order;
}

/** The service that the order names, or the only one. */
export function meantService({ service }: Order, services: readonly Named[]): string {
  const names = services.map(({ name }) => name);
  if (service === undefined) {
    if (names.length === 1) return names[0]!;
    throw new ScaleError("conflict", "which service is not said, and there are several", {
      hint: `one of ${listed(names)}`,
    });
  }
  if (names.includes(service)) return service;
  throw new ScaleError("not_found", `there is no service ${service}`, { hint: suggestion(service, names) });
}

/** The target that the order names, in its service or, if it says none, in the only one that has it. */
export function meantTarget(
  order: Order,
  services: readonly Named[],
): { readonly service: string; readonly target: string } {
  const target = order.target!;
  const wanted = order.service === undefined ? undefined : meantService(order, services);
  const among = services.filter(({ name }) => wanted === undefined || name === wanted);
  const having = among.filter(({ targets }) => targets.some(({ name }) => name === target));
  if (having.length === 1) return { service: having[0]!.name, target };
  if (having.length > 1) {
    const names = having.map(({ name }) => name);
    throw new ScaleError("conflict", `several services have a target ${target}`, {
      hint: `say which: ${listed(names)}`,
    });
  }
  const names = among.flatMap(({ targets }) => targets.map(({ name }) => name));
  throw new ScaleError(
    "not_found",
    `there is no target ${target}${wanted === undefined ? "" : ` in service ${wanted}`}`,
    {
      hint: suggestion(target, names),
    },
  );
}

export function readBackend(order: Order): Backend {
  return read("target", order.target!, backend);
}

export function readWeight(order: Order): number {
  return read("weight", String(order.weight), weight);
}

function read<T>(what: string, text: string, kind: Kind<T>): T {
  try {
    return kind.parse(text);
  } catch (error) {
    if (error instanceof ExpectedError)
      throw malformed(`${what} is ${JSON.stringify(text)}, expected ${error.expected}`);
    throw error;
  }
}

function suggestion(name: string, names: readonly string[]): string {
  const meant = closest(name, names);
  return meant === undefined ? `there is ${listed(names)}` : `did you mean ${meant}? There is ${listed(names)}`;
}

function listed(names: readonly string[]): string {
  return names.join(", ") || "none";
}

function malformed(message: string): ScaleError {
  return new ScaleError("request_malformed", message);
}
