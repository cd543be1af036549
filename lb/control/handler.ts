/**
 * Answers what is asked on the control socket: validates an order, finds the service and target it means, and gives it to the control
 * plane. Invariant: knows no socket and no data plane; how busy targets are comes from `load`, wherever requests are carried.
 */
import { isVerb, type VerbName, verbs } from "../../src/config/control_verbs.ts";
import type { Done, Order, Refused, ServiceState, ServiceStatus, Status } from "../../src/ops/control_protocol.ts";
import { log } from "../../src/ops/log.ts";
import { messageOf, ScaleError } from "../../src/std/errors.ts";
import type { ServiceLoad } from "../world.ts";
import { changes } from "./changes.ts";
import { meantService, meantTarget, readBackend, readOrder, readWeight } from "./order.ts";
import type { ControlPlane } from "./plane.ts";
import type { Reloaded } from "./reload.ts";

export interface Controlled {
  readonly plane: ControlPlane;
  readonly reload: () => Reloaded;
  readonly load: () => readonly ServiceLoad[] | Promise<readonly ServiceLoad[]>;
  readonly about: Pick<Status, "version" | "listen">;
  /** Path of the file that a reload reads. */
  readonly config: string | undefined;
}

/** Always answers. */
export function controlHandler(controlled: Controlled): (request: Request) => Promise<Response> {
  return async (request) => {
    try {
      return Response.json(await answer(controlled, request));
    } catch (error) {
      return refusal(error);
    }
  };
}

async function answer(controlled: Controlled, request: Request): Promise<Status | Done> {
  const verb = new URL(request.url).pathname.slice(1);
  if (!isVerb(verb)) {
    throw new ScaleError("not_found", `there is no ${verb}; there is ${Object.keys(verbs).join(", ")}`);
  }
  const method = verb === "status" ? "GET" : "POST";
  if (request.method !== method) throw new ScaleError("method_not_allowed", `${verb} is asked for with ${method}`);
  if (verb === "status") return await statusOf(controlled);
  const order = readOrder(await request.text(), verbs[verb].takes);
  const done = carryOut(controlled, verb, order);
  log.info({ verb, ...order }, `control: ${[verb, done.service, done.target].filter(Boolean).join(" ")}`);
  return done;
}

function carryOut({ plane, reload }: Controlled, verb: Exclude<VerbName, "status">, order: Order): Done {
  const services = plane.status();
  if (verb === "reload") return reload();
  if (verb === "pause" || verb === "resume") {
    const service = meantService(order, services);
    plane[verb](service);
    return { service };
  }
  if (verb === "add") {
    const service = meantService(order, services);
    const target = readBackend(order);
    plane.add(service, target);
    return { service, target: target.name };
  }
  const { service, target } = meantTarget(order, services);
  if (verb === "weight") plane.setWeight(service, target, readWeight(order));
  else plane[verb](service, target);
  const done = { service, target };
  return hasRoutable(plane, service) ? done : { ...done, warning: `no target of ${service} gets requests now` };
}

function hasRoutable({ world }: ControlPlane, service: string): boolean {
  const found = world.services.find(({ name }) => name === service);
  return found?.targets.some(({ routing }) => routing === "routable") === true;
}

async function statusOf({ plane, load, about, config }: Controlled): Promise<Status> {
  const loads = await load();
  const services = plane.status().map((state) =>
    withLoad(
      state,
      loads.find(({ service }) => service === state.name),
    ),
  );
  const file = config === undefined ? {} : { config };
  return { pid: process.pid, ...about, ...file, differs: changes(plane.configured, plane.wanted), services };
}

function withLoad({ targets, ...state }: ServiceState, load: ServiceLoad | undefined): ServiceStatus {
  const byName = new Map(load?.targets.map((each) => [each.target, each]));
  return {
    ...state,
    waiting: load?.waiting ?? 0,
    targets: targets.map((target) => {
      const { requestsInFlight = 0, requests = 0 } = byName.get(target.name) ?? {};
      return { ...target, requestsInFlight, requests };
    }),
  };
}

/** What an order that is not carried out is answered with. */
export function refusal(error: unknown): Response {
  const known = error instanceof ScaleError ? error : new ScaleError("internal", messageOf(error), { cause: error });
  if (known.source === "internal") log.error({ error }, `control: ${known.message}`);
  const { code, message, hint, status } = known;
  const refused: Refused = { error: { code, message, ...(hint === undefined ? {} : { hint }) } };
  return Response.json(refused, { status });
}
