/**
 * What a balancer has besides its port, and only one can have: admin listener, control socket, place in the run directory. Taken once
 * it listens, from a predecessor where there is one, and given to a successor. What is done there is ops/admin's and orders.ts'.
 */
import type { Config } from "../../src/config/options.ts";
import type { Admin } from "../../src/ops/admin.ts";
import type { Lifecycle } from "../../src/ops/lifecycle.ts";
import { announce } from "../../src/ops/run_dir.ts";
import { type HostPort, parseHostPort } from "../../src/std/units.ts";
import type { Controlled } from "../control/handler.ts";
import { handedOver } from "./loan.ts";
import { type Orders, takeOrders } from "./orders.ts";
import type { Succession } from "./succession.ts";

export interface Offices {
  /** Undefined where the balancer has begun to drain instead. */
  take(wanted: Wanted): Promise<Addresses | undefined>;
}

export interface Addresses {
  readonly admin: string | undefined;
  /** Path of the socket. */
  readonly control: string | undefined;
}

export interface Wanted {
  readonly config: Config;
  /** HOST:PORT. */
  readonly listen: string;
  readonly admin: (at: HostPort) => Admin;
  readonly controlled: Omit<Controlled, "config">;
}

/** Registers their closing: after everything that is registered later, so that the draining can be watched and asked about. */
export function openOffices(life: Lifecycle, succession: Succession): Offices {
  let admin: Admin | undefined;
  let orders: Orders | undefined;
  life.onClose("admin", () => admin?.close());
  life.onClose("control socket", () => orders?.close());
  return {
    async take({ config, listen, admin: open, controlled }) {
      await succession.relieve();
      // The predecessor has just closed it.
      const take = () => open(config.admin);
      const opened = succession.hasPredecessor ? await handedOver(take, life.draining) : take();
      if (opened === undefined) return undefined;
      admin = opened;
      const taken = await takeOrders(config, controlled, succession);
      orders = taken;
      const addresses = { admin: opened.address, control: taken.path };
      const presence = { pid: process.pid, role: "lb", instance: config.instance, listen, ...addresses };
      let leave = announce(config, presence);
      life.onClose("run directory", () => leave());

      const { loan } = succession;
      loan.include({
        name: "--admin",
        lend: () => admin?.close(),
        takeBack: () => void (admin = open(boundTo(opened, config.admin))),
      });
      loan.include({ name: "--control", lend: () => undefined, takeBack: () => taken.takeBack() });
      loan.include({
        name: "the entry in the run directory",
        lend: () => leave(),
        takeBack: () => void (leave = announce(config, presence)),
      });
      succession.dismiss();
      return addresses;
    },
  };
}

/** Port 0 has become one, and the same is wanted again. */
function boundTo({ address }: Admin, wanted: HostPort): HostPort {
  return address === undefined ? wanted : parseHostPort(address, wanted.host);
}
