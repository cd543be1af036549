/**
 * The processes of one role that serve as one: started together, each kept running, asked for readiness and metrics, told what their
 * role has to tell them, stopped together. What a supervisor does besides is supervisor.ts' for app and worker, and the role's own for lb.
 */
import { commandAgain } from "../config/again.ts";
import { ownEnvironment } from "../config/environment.ts";
import type { Config, OptionName } from "../config/options.ts";
import { messageOf } from "../std/errors.ts";
import type { Readiness } from "./admin.ts";
import { Channel, type Question, type ToParent } from "./channel.ts";
import { log, writeLines } from "./log.ts";
import { type Numbers, SummedMetrics } from "./summed_metrics.ts";
import { Supervised } from "./supervised.ts";

/** A child whose loop is blocked for longer is not waited for: a scrape has its own deadline. */
const answerMilliseconds = 1_000;
/** What a child needs beyond its own time to drain: then it hangs. */
const afterDrainMilliseconds = 10_000;

/** What a role does with what one of its processes tells; `reply` goes to that one only. */
export type OnTold = (what: unknown, reply: (what: unknown) => void) => void;

const nobodyListens: OnTold = () => undefined;

export class Processes {
  readonly #metrics = new SummedMetrics();
  readonly #members: readonly Member[];
  readonly #killAfter: number;

  /** `decided` are flags that all are started with, whatever the command line says. */
  constructor(config: Config, decided: { readonly [N in OptionName]?: string }, onTold = nobodyListens) {
    this.#killAfter = config.drainDelay + config.drainTimeout + afterDrainMilliseconds;
    this.#members = Array.from(
      { length: config.processes },
      (_, index) => new Member(config, index + 1, decided, this.#metrics, onTold),
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
    await Promise.all(this.#members.map((member) => member.hearMetrics()));
    return this.#metrics.text();
  }

  /** The answers of those that answer in time. */
  async ask(question: Question): Promise<unknown[]> {
    const answers = await Promise.allSettled(this.#members.map((member) => member.ask(question)));
    return answers.flatMap((answer) => (answer.status === "fulfilled" ? [answer.value] : []));
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
  readonly #metrics: SummedMetrics;
  readonly #onTold: OnTold;

  constructor(
    config: Config,
    index: number,
    decided: { readonly [N in OptionName]?: string },
    metrics: SummedMetrics,
    onTold: OnTold,
  ) {
    this.#metrics = metrics;
    this.#onTold = onTold;
    // The supervisor writes their lines, whole and in its own form: several writers would tear each other's.
    const own = { ...decided, child: `${index}/${config.processes}`, stopWithParent: "on", logFormat: "json" };
    const named = config.instance === undefined ? own : { ...own, instance: `${config.instance}-${index}` };
    const plan = {
      name: `${config.command}-${index}`,
      command: commandAgain(config, named),
      env: ownEnvironment(),
      readiness: () => this.readiness(),
      onMessage: (message: unknown) => this.#received(message as ToParent),
      onEnded: (pid: number) => metrics.ended(pid),
    };
    this.child = new Supervised(plan, {
      write: (_name, lines) => writeLines(Buffer.from(lines)),
      say: (text) => log.warn({ process: plan.name }, text),
    });
  }

  /** Never rejects. */
  async readiness(): Promise<Readiness> {
    try {
      return (await this.ask("readiness")) as Readiness;
    } catch (error) {
      return { ready: false, state: "silent", reason: `${this.child.plan.name}: ${messageOf(error)}` };
    }
  }

  /** Asks for its numbers of now; without an answer those known stay. */
  async hearMetrics(): Promise<void> {
    const { pid } = this.child;
    try {
      const numbers = (await this.ask("metrics")) as readonly Numbers[];
      if (pid !== undefined) this.#metrics.heard(pid, numbers);
    } catch (error) {
      log.debug({ process: this.child.plan.name }, messageOf(error));
    }
  }

  ask(question: Question): Promise<unknown> {
    return this.#channel.ask(question, answerMilliseconds, (message) => this.child.send(message));
  }

  #received(message: ToParent): void {
    if (message.kind === "answer") this.#channel.answered(message.id, message.value);
    else if (message.kind === "tell") this.#onTold(message.what, (what) => this.child.send({ kind: "tell", what }));
    else if (this.child.pid !== undefined) this.#metrics.heard(this.child.pid, message.metrics as readonly Numbers[]);
  }
}
