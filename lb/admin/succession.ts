/**
 * Replacing a running balancer by a new one (--takeover), both ends of it. Of the successor: it learns who is healthy, joins the port,
 * asks the predecessor over its control socket to release what only one can have (claim on the port, admin port, place in the run
 * directory), takes that, and tells it to drain. Between the two there is no moment at which nobody listens. Invariant: until the
 * successor listens nothing has changed for the predecessor; one that is left halfway goes on serving.
 */
import type { Config } from "../../src/config/options.ts";
import { type Claim, claimPort, inheritClaim } from "../../src/io/port_claim.ts";
import type { Lifecycle } from "../../src/ops/lifecycle.ts";
import { log } from "../../src/ops/log.ts";
import { warnAboutSharedPort } from "../../src/ops/machine.ts";
import { type Presence, running } from "../../src/ops/run_dir.ts";
import { messageOf, ScaleError } from "../../src/std/errors.ts";
import { pause } from "../../src/std/pause.ts";
import { formatHostPort, type HostPort } from "../../src/std/units.ts";
import type { ControlPlane } from "../control/plane.ts";

/** A target that has said nothing by then is away: what the others say is known. */
const knownMilliseconds = 5_000;
const pollMilliseconds = 20;
const releaseMilliseconds = 5_000;

export class Succession {
  /** Where to listen, sharing. */
  readonly address: HostPort;
  readonly #predecessor: Presence | undefined;
  #claim: Claim | undefined;
  readonly #held: (() => void | Promise<void>)[] = [];

  /** Claims the port, unless there is a predecessor to take it from. Throws address_taken. */
  constructor(config: Config, life: Lifecycle) {
    this.#predecessor = config.takeover ? predecessorOf(config) : undefined;
    if (this.#predecessor === undefined) this.#claim = claimPort(config.listen, "--listen");
    if (this.#predecessor !== undefined || config.processes > 1) warnAboutSharedPort();
    this.address = this.#claim?.address ?? config.listen;
    life.onClose("port", () => this.#claim?.release());
    this.hold(() => this.#claim?.release());
  }

  /** What a successor must be able to have while this process still drains. `release` is idempotent. */
  hold(release: () => void | Promise<void>): void {
    this.#held.push(release);
  }

  /** For a successor that asks for it. */
  async release(): Promise<void> {
    log.info({}, "a successor takes over");
    for (const release of this.#held) await release();
  }

  /** Resolves when it is known who is healthy: the predecessor knows, and what the kernel hands to us must fare no worse. */
  async untilKnown(control: ControlPlane, draining: AbortSignal): Promise<void> {
    if (this.#predecessor === undefined) return;
    const deadline = performance.now() + knownMilliseconds;
    const isKnown = () => control.status().every(({ targets }) => targets.every(({ state }) => state !== "joining"));
    while (!isKnown() && performance.now() < deadline && !draining.aborted) await pause(pollMilliseconds, draining);
  }

  /** We listen: the predecessor gives up what only one can have. Throws where it does not answer; it goes on as before then. */
  async relieve(): Promise<void> {
    if (this.#predecessor === undefined) return;
    const { pid, control } = this.#predecessor;
    try {
      const signal = AbortSignal.timeout(releaseMilliseconds);
      const response = await fetch("http://control/release", { unix: control!, method: "POST", signal });
      if (!response.ok) throw new Error(`it answered ${response.status}: ${await response.text()}`);
    } catch (error) {
      throw new ScaleError("conflict", `balancer ${pid} cannot be taken over: ${messageOf(error)}`, {
        hint: "stop it, and start this one without --takeover",
        cause: error,
      });
    }
    this.#claim = inheritClaim(this.address);
  }

  /** All is taken: the predecessor accepts no more, finishes what it has, and ends. */
  dismiss(): void {
    if (this.#predecessor === undefined) return;
    log.info({ predecessor: this.#predecessor.pid }, `taken over from balancer ${this.#predecessor.pid}, which drains`);
    process.kill(this.#predecessor.pid, "SIGTERM");
  }
}

function predecessorOf(config: Config): Presence | undefined {
  const listen = formatHostPort(config.listen);
  const found = running(config.runDir, "lb").find((each) => each.listen === listen && each.control !== undefined);
  if (found === undefined)
    log.info({ listen }, `nobody in ${config.runDir} to take ${listen} over from: an ordinary start`);
  return found;
}
