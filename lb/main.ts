/** Role lb: requests in, requests out to whoever is well. A table of contents; the walk of one request is exchange.ts. */
import type { Config } from "../src/config/options.ts";
import { version } from "../src/config/version.ts";
import { startAdmin } from "../src/ops/admin.ts";
import { Lifecycle } from "../src/ops/lifecycle.ts";
import { log } from "../src/ops/log.ts";
import { publishProcessMetrics } from "../src/ops/process_metrics.ts";
import { formatHostPort } from "../src/std/units.ts";
import { openOffices } from "./admin/offices.ts";
import { Succession } from "./admin/succession.ts";
import { runChild } from "./child.ts";
import { ControlPlane } from "./control/plane.ts";
import { reload } from "./control/reload.ts";
import { wantedOf } from "./control/wanted.ts";
import { openFront, openServices } from "./data_plane.ts";
import { publishHealthMetrics } from "./metrics.ts";
import { checkRoom } from "./open_files.ts";
import { runSupervisor } from "./supervisor.ts";

/** Balances until it is told to stop; resolves with the exit code. `reread` reads flags, environment and file again. */
export function run(config: Config, reread: () => Config): Promise<number> {
  if (config.child !== undefined) return runChild(config, config.child);
  checkRoom(config);
  const again = (): Config => {
    const now = reread();
    checkRoom(now);
    return now;
  };
  return config.processes > 1 ? runSupervisor(config, again) : runAlone(config, again);
}

/** Control plane and data plane in one process. */
function runAlone(config: Config, reread: () => Config): Promise<number> {
  const life = new Lifecycle();
  life.listen({ withParent: config.stopWithParent });
  return life.run(() => start(config, reread, life));
}

async function start(config: Config, reread: () => Config, life: Lifecycle): Promise<void> {
  const succession = new Succession(config, life);
  const offices = openOffices(life, succession);
  const services = openServices(config, life, (report) => control.report(report));
  const control = new ControlPlane(wantedOf(config), (world) => services.apply(world));
  services.apply(control.world);
  life.onClose("control plane", () => control.stop());
  control.start();
  await succession.untilKnown(control, life.draining);
  if (life.draining.aborted) return;
  const front = openFront(config, services, succession.address);
  life.onClose("listener", () => front.drain());

  publishHealthMetrics(control);
  publishProcessMetrics({ version, role: "lb", ready: () => life.phase === "ready" });
  const listen = formatHostPort(front.address);
  const addresses = await offices.take({
    config,
    listen,
    admin: (at) => startAdmin({ ...config, admin: at }, () => ({ ready: life.phase === "ready", state: life.phase })),
    controlled: {
      plane: control,
      reload: () => reload(config, reread, control),
      load: () => services.loads(),
      about: { version, listen },
    },
  });
  if (addresses === undefined) return;
  log.info(
    { listen, ...addresses, services: control.status().map(({ name }) => name) },
    `role lb listens on http://${listen}`,
  );
  life.ready();
}
