/**
 * Replacing a running balancer by a new one (--takeover), both ends of it. Of the successor: it learns who is healthy, joins the port,
 * asks the predecessor over its control socket to lend what only one can have (claim on the port, admin port, place in the run
 * directory), takes that, and tells it to drain. Between the two there is no moment at which nobody listens. Invariant: until the
 * successor listens nothing has changed for the predecessor; one that is left halfway gets back what it lent (loan.ts) and goes on.
 */
import type { Config } from "../../src/config/options.ts";
import { isAlive } from "../../src/io/alive.ts";
import { type Claim, claimPort, inheritClaim } from "../../src/io/port_claim.ts";
import type { Lifecycle } from "../../src/ops/lifecycle.ts";
import { log } from "../../src/ops/log.ts";
import { warnAboutSharedPort } from "../../src/ops/machine.ts";
import { type Presence, running } from "../../src/ops/run_dir.ts";
import { messageOf, ScaleError } from "../../src/std/errors.ts";
import { pause } from "../../src/std/pause.ts";
import { formatHostPort, type HostPort } from "../../src/std/units.ts";
import type { ControlPlane } from "../control/plane.ts";
import { Loan } from "./loan.ts";

/** A target that has said nothing by then is away: what the others say is known. */
const knownMilliseconds = 5_000;
const pollMilliseconds = 20;
const answerMilliseconds = 5_000;

export class Succession {
  /** Where to listen, sharing. */
  readonly address: HostPort;
  readonly #predecessor: Presence | undefined;
  /** What a successor may ask for. */
  readonly loan: Loan;
  #claim: Claim | undefined;
  /** The predecessor's answer. It never ends: while we hold it we hold the loan. */
  #lent: Response | undefined;

  /** Claims the port, unless there is a predecessor to take it from. Throws address_taken. */
  constructor(config: Config, life: Lifecycle) {
    this.#predecessor = config.takeover ? predecessorOf(config) : undefined;
    if (this.#predecessor === undefined) this.#claim = claimPort(config.listen, "--listen");
    if (this.#predecessor !== undefined || config.processes > 1) warnAboutSharedPort();
    this.address = this.#claim?.address ?? config.listen;
    life.onClose("port", () => this.#claim?.release());
    // Its other end may be gone already.
    life.onClose("loan", () => this.#lent?.body?.cancel().catch(() => undefined));
    this.loan = new Loan(life.draining);
    this.loan.include({
      name: "the port",
      lend: () => this.#claim?.release(),
      takeBack: () => this.#inherit(),
    });
  }

  get hasPredecessor(): boolean {
    return this.#predecessor !== undefined;
  }

  /** Resolves when it is known who is healthy: the predecessor knows, and what the kernel hands to us must fare no worse. */
  async untilKnown(control: ControlPlane, draining: AbortSignal): Promise<void> {
    if (this.#predecessor === undefined) return;
    const deadline = performance.now() + knownMilliseconds;
    const isKnown = () => control.status().every(({ targets }) => targets.every(({ state }) => state !== "joining"));
    while (!isKnown() && performance.now() < deadline && !draining.aborted) await pause(pollMilliseconds, draining);
  }

  /**
   * We listen: the predecessor lends what only one can have. Throws where it does not; it goes on as before then. One that has died
   * meanwhile has left it all.
   */
  async relieve(): Promise<void> {
    if (this.#predecessor === undefined) return;
    const { pid, control } = this.#predecessor;
    try {
      this.#lent = await askForLoan(control!);
      this.#inherit();
    } catch (error) {
      if (!isAlive(pid)) return this.#inherit();
      throw new ScaleError("conflict", `balancer ${pid} cannot be taken over: ${messageOf(error)}`, {
        hint: "stop it, and start this one without --takeover",
        cause: error,
      });
    }
  }

  /** All is taken: the predecessor accepts no more, finishes what it has, and ends. */
  dismiss(): void {
    if (this.#predecessor === undefined) return;
    const { pid } = this.#predecessor;
    log.info({ predecessor: pid }, `taken over from balancer ${pid}, which drains`);
    if (isAlive(pid)) process.kill(pid, "SIGTERM");
  }

  /** Throws address_taken while somebody else has it. */
  #inherit(): void {
    this.#claim = inheritClaim(this.address);
  }
}

/** The answer whose connection is the loan. */
async function askForLoan(control: string): Promise<Response> {
  const late = new AbortController();
  const timer = setTimeout(
    () => late.abort(new Error(`no answer within ${answerMilliseconds} ms`)),
    answerMilliseconds,
  );
  try {
    const response = await fetch("http://control/release", { unix: control, method: "POST", signal: late.signal });
    if (!response.ok) throw new Error(`it answered ${response.status}: ${await response.text()}`);
    return response;
  } finally {
    clearTimeout(timer);
  }
}

function predecessorOf(config: Config): Presence | undefined {
  const listen = formatHostPort(config.listen);
  const found = running(config.runDir, "lb").find((each) => each.listen === listen && each.control !== undefined);
  if (found === undefined)
    log.info({ listen }, `nobody in ${config.runDir} to take ${listen} over from: an ordinary start`);
  return found;
}
