/**
 * Several processes that are one balancer: this one is their control plane and carries no request. It alone checks targets, holds the
 * control socket and the admin listener, and sends each World to the children (child.ts), which share the port that it has claimed.
 */
import { indivisible } from "../src/config/divide.ts";
import type { Config } from "../src/config/options.ts";
import { version } from "../src/config/version.ts";
import { serveAdmin } from "../src/ops/admin.ts";
import type { Heard } from "../src/ops/heard.ts";
import { Lifecycle } from "../src/ops/lifecycle.ts";
import { log } from "../src/ops/log.ts";
import { publishProcessMetrics } from "../src/ops/process_metrics.ts";
import { type OnTold, Processes } from "../src/ops/processes.ts";
import { readinessOf, superviseUntilStopped } from "../src/ops/supervisor.ts";
import { formatHostPort } from "../src/std/units.ts";
import { type Offices, openOffices } from "./admin/offices.ts";
import { Succession } from "./admin/succession.ts";
import { indivisibleOf } from "./child.ts";
import { ControlPlane } from "./control/plane.ts";
import { reload } from "./control/reload.ts";
import { wantedOf } from "./control/wanted.ts";
import type { ToControlPlane } from "./data_plane.ts";
import { publishHealthMetrics } from "./metrics.ts";
import { heardLoads, sumOfLoads } from "./sum_of_loads.ts";
import type { ServiceLoad, World } from "./world.ts";

/** Runs until it is told to stop; resolves with the exit code when no child is left. */
export async function runSupervisor(config: Config, reread: () => Config): Promise<number> {
  const life = new Lifecycle();
  life.listen({ withParent: config.stopWithParent });
  const control = new ControlPlane(wantedOf(config), (world) => processes.tell(world));
  const succession = new Succession(config, life);
  const offices = openOffices(life, succession);
  const listen = formatHostPort(succession.address);
  const loads = heardLoads(() => control.world);
  const onTold: OnTold = (what, reply) => {
    const told = what as ToControlPlane;
    if (told.kind === "started") reply(control.world);
    else control.report(told.report);
  };
  const processes = new Processes(config, { listen }, { onTold, heard: loads });
  return superviseUntilStopped(life, processes, () =>
    start({ config, reread, life, control, processes, loads, succession, offices }),
  );
}

interface Parts {
  readonly config: Config;
  readonly reread: () => Config;
  readonly life: Lifecycle;
  readonly control: ControlPlane;
  readonly processes: Processes;
  readonly loads: Heard<readonly ServiceLoad[]>;
  readonly succession: Succession;
  readonly offices: Offices;
}

/** Each process gets at least 1 of everything: what may do nothing would refuse whatever the kernel hands it. */
function warnOfExcess(config: Config, world: World): void {
  const { processes } = config;
  for (const [limit, value] of [...indivisible(config), ...indivisibleOf(world, processes)]) {
    log.warn(
      {},
      `${limit} is ${value} and --processes ${processes}: each allows 1, so that together they allow ${processes}`,
    );
  }
}

async function start({ config, reread, life, control, processes, loads, succession, offices }: Parts): Promise<void> {
  life.onClose("control plane", () => control.stop());
  life.onClose("processes", () => processes.stop());
  warnOfExcess(config, control.world);
  control.start();
  await succession.untilKnown(control, life.draining);
  if (life.draining.aborted) return;
  await processes.start();

  publishHealthMetrics(control);
  publishProcessMetrics({ version, role: "lb", ready: () => life.phase === "ready" });
  const listen = formatHostPort(succession.address);
  const addresses = await offices.take({
    config,
    listen,
    admin: (at) =>
      serveAdmin(at, {
        readiness: () => readinessOf(life, processes),
        metrics: () => processes.metrics(),
      }),
    controlled: {
      plane: control,
      reload: () => reload(config, reread, control),
      load: async () => {
        await processes.hear("load", loads);
        return sumOfLoads(loads.all());
      },
      about: { version, listen },
    },
  });
  if (addresses === undefined) return;
  const { processes: count } = config;
  log.info({ listen, ...addresses, processes: count }, `role lb listens on http://${listen} with ${count} processes`);
  life.ready();
}
