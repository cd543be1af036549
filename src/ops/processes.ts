/**
 * The processes of one role that serve as one: started together, each kept running, asked for readiness and metrics, told what their
 * role has to tell them, stopped together. What a supervisor does besides is supervisor.ts' for app and worker, and the role's own for lb.
 */
import { commandAgain } from "../config/again.ts";
import { ownEnvironment } from "../config/environment.ts";
import type { Config, OptionName } from "../config/options.ts";
import { messageOf, ScaleError } from "../std/errors.ts";
import type { Readiness } from "./admin.ts";
import { type Asked, Channel, type Question, type ToParent } from "./channel.ts";
import type { Heard } from "./heard.ts";
import { log, writeLines } from "./log.ts";
import { heardMetrics, metricsText, type Numbers } from "./summed_metrics.ts";
import { Supervised } from "./supervised.ts";

/** A child whose loop is blocked for longer is not waited for: a scrape has its own deadline. */
const answerMilliseconds = 1_000;
/** What a child needs beyond its own time to drain: then it hangs. */
const afterDrainMilliseconds = 10_000;

/** What a role does with what one of its processes tells; `reply` goes to that one only. */
export type OnTold = (what: unknown, reply: (what: unknown) => void) => void;

/** What a role has to do with its processes besides. */
export interface Attending {
  readonly onTold?: OnTold;
  /** Learns who runs, so that hear() may be asked for it. */
  readonly heard?: Pick<Heard<unknown>, "started" | "ended">;
}

/** Flags that all are started with, whatever the command line says. */
type Decided = { readonly [N in OptionName]?: string };

export class Processes {
  readonly #metrics = heardMetrics();
  readonly #members: readonly Member[];
  readonly #killAfter: number;

  constructor(config: Config, decided: Decided, attending: Attending = {}) {
    this.#killAfter = config.drainDelay + config.drainTimeout + afterDrainMilliseconds;
    this.#members = Array.from(
      { length: config.processes },
      (_, index) => new Member(config, index + 1, decided, this.#metrics, attending),
    );
  }

  /** Starts all and resolves when all are ready. Rejects with the first that ended before that, with its exit code. */
  async start(): Promise<void> {
    await Promise.all(this.#members.map((member) => member.child.start()));
  }

  /** Ready as long as one is: they share the port, and a process that is down holds none of it. */
  async readiness(): Promise<Pick<Readiness, "ready" | "reason" | "stores">> {
    const answers = await Promise.all(this.#members.map((member) => member.readiness()));
    const waiting = answers.find(({ ready }) => !ready);
    const ready = answers.filter((answer) => answer.ready).length;
    const stores = answers.find((answer) => answer.stores !== undefined)?.stores;
    return {
      ready: ready > 0,
      ...(waiting === undefined
        ? {}
        : { reason: `${ready} of ${answers.length} processes are ready: ${reasonOf(waiting)}` }),
      ...(stores === undefined ? {} : { stores }),
    };
  }

  /** The text for /metrics: of all, with this process's own. */
  async metrics(): Promise<string> {
    await this.hear("metrics", this.#metrics);
    return metricsText(this.#metrics);
  }

  /** Asks all; of one that does not answer in time, what it said before stays. */
  async hear<T>(question: Question, heard: Heard<T>): Promise<void> {
    await Promise.all(this.#members.map((member) => member.hear(question, heard)));
  }

  /** The answers of those that answer in time. */
  async ask(asked: Asked, milliseconds = answerMilliseconds): Promise<unknown[]> {
    const answers = await Promise.allSettled(this.#members.map((member) => member.ask(asked, milliseconds)));
    return answers.flatMap((answer) => (answer.status === "fulfilled" ? [answer.value] : []));
  }

  /** The answer of one that is ready, whichever. Rejects where none is, or it does not answer in time. */
  async askOne(asked: Asked, milliseconds: number): Promise<unknown> {
    const one = this.#members.find(({ child }) => child.state === "ready");
    if (one === undefined) throw new ScaleError("overloaded", "none of the processes is ready");
    return one.ask(asked, milliseconds);
  }

  /** Tells all of them; one that starts later asks. */
  tell(what: unknown): void {
    for (const { child } of this.#members) child.send({ kind: "tell", what });
  }

  signal(signal: "SIGHUP" | "SIGKILL"): void {
    for (const { child } of this.#members) child.signal(signal);
  }

  /** Drains all at once. */
  async stop(): Promise<void> {
    await Promise.all(this.#members.map(({ child }) => child.stop(this.#killAfter)));
  }
}

function reasonOf({ state, reason }: Readiness): string {
  return reason ?? state;
}

/** One place among the processes, and the child that fills it now. */
class Member {
  readonly child: Supervised;
  readonly #channel = new Channel();
  readonly #metrics: Heard<readonly Numbers[]>;
  readonly #onTold: OnTold | undefined;

  constructor(
    config: Config,
    index: number,
    decided: Decided,
    metrics: Heard<readonly Numbers[]>,
    { onTold, heard }: Attending,
  ) {
    this.#metrics = metrics;
    this.#onTold = onTold;
    // The supervisor writes their lines, whole and in its own form: several writers would tear each other's.
    const own = {
      ...decided,
      child: `${index}/${config.processes}`,
      stopWithParent: String(process.pid),
      logFormat: "json",
    };
    const named = config.instance === undefined ? own : { ...own, instance: `${config.instance}-${index}` };
    const plan = {
      name: `${config.command}-${index}`,
      command: commandAgain(config, named),
      env: ownEnvironment(),
      readiness: () => this.readiness(),
      readyWithin: config.startTimeout,
      onMessage: (message: unknown, pid: number) => this.#received(message as ToParent, pid),
      onStarted: (pid: number) => {
        metrics.started(pid);
        heard?.started(pid);
      },
      onEnded: (pid: number) => {
        metrics.ended(pid);
        heard?.ended(pid);
      },
    };
    this.child = new Supervised(plan, {
      write: (_name, lines) => writeLines(Buffer.from(lines)),
      say: (text) => log.warn({ process: plan.name }, text),
    });
  }

  /** Never rejects. */
  async readiness(): Promise<Readiness> {
    try {
      return (await this.ask({ question: "readiness" })) as Readiness;
    } catch (error) {
      return { ready: false, state: "silent", reason: `${this.child.plan.name}: ${messageOf(error)}` };
    }
  }

  async hear<T>(question: Question, heard: Heard<T>): Promise<void> {
    const { pid } = this.child;
    try {
      const said = (await this.ask({ question })) as T;
      if (pid !== undefined) heard.heard(pid, said);
    } catch (error) {
      log.debug({ process: this.child.plan.name }, messageOf(error));
    }
  }

  ask(asked: Asked, milliseconds = answerMilliseconds): Promise<unknown> {
    return this.#channel.ask(asked, milliseconds, (message) => this.child.send(message));
  }

  #received(message: ToParent, pid: number): void {
    if (message.kind === "answer") this.#channel.answered(message.id, message.value);
    else if (message.kind === "tell") this.#onTold?.(message.what, (what) => this.child.send({ kind: "tell", what }));
    else this.#metrics.heard(pid, message.metrics as readonly Numbers[]);
  }
}
