/**
 * What a balancer has besides its port, and only one can have: admin listener, control socket, place in the run directory. Taken once
 * it listens, from a predecessor where there is one, and given to a successor. What is done there is ops/admin's and orders.ts'.
 */
import type { Config } from "../../src/config/options.ts";
import type { Admin } from "../../src/ops/admin.ts";
import type { Lifecycle } from "../../src/ops/lifecycle.ts";
import { announce } from "../../src/ops/run_dir.ts";
import type { Controlled } from "../control/handler.ts";
import { type Orders, takeOrders } from "./orders.ts";
import type { Succession } from "./succession.ts";

export interface Offices {
  take(wanted: Wanted): Promise<{ readonly admin: string | undefined; readonly control: string | undefined }>;
}

export interface Wanted {
  readonly config: Config;
  /** HOST:PORT. */
  readonly listen: string;
  readonly admin: () => Admin;
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
      admin = open();
      orders = await takeOrders(config, controlled, succession);
      const addresses = { admin: admin.address, control: orders.path };
      const presence = { pid: process.pid, role: "lb", instance: config.instance, listen, ...addresses };
      const leave = announce(config, presence);
      life.onClose("run directory", leave);
      succession.hold(() => admin?.close());
      succession.hold(leave);
      succession.dismiss();
      return addresses;
    },
  };
}
