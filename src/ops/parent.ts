/**
 * A child's end of the channel to its supervisor (channel.ts): it answers about readiness, metrics and pages in place of an admin
 * listener, and hands on what the supervisor tells its role. That a child ends with its supervisor is lifecycle.ts'.
 */
import { ScaleError } from "../std/errors.ts";
import type { Admin, AdminPages, Readiness } from "./admin.ts";
import type { Question, ToChild, ToParent } from "./channel.ts";
import { answerPage, type AskedPage } from "./child_pages.ts";
import { childMetrics } from "./summed_metrics.ts";

type Listener = (what: unknown) => void;

let listener: Listener = () => undefined;
const answers = new Map<Question, (about: unknown) => unknown>();

/** Answers a question of the role's own. */
export function answerAlso(question: Question, answer: (about: unknown) => unknown): void {
  answers.set(question, answer);
}

/** Hands what the supervisor tells to the role, in order. */
export function onTold(listen: Listener): void {
  listener = listen;
}

/** Tells the supervisor's part of the role. Lost when there is no supervisor any more: this process is about to end then. */
export function tellParent(what: unknown): void {
  void send({ kind: "tell", what });
}

/** Answers the supervisor's questions until closed, which sends the last numbers. */
export function answerParent(readiness: () => Readiness, pages: AdminPages): Admin {
  if (process.send === undefined) {
    throw new ScaleError(
      "configuration_invalid",
      "--child is given, and there is no supervisor that this process could answer",
      {
        hint: "leave --child out; --processes=N starts a supervisor and its children",
      },
    );
  }
  answers.set("readiness", readiness).set("metrics", childMetrics);
  answers.set("page", (asked) => answerPage(pages, asked as AskedPage));
  process.on("message", (message: ToChild) => {
    if (message.kind === "tell") listener(message.what);
    else void answer(message.id, answers.get(message.question)?.(message.about));
  });
  return { address: undefined, close: async () => send({ kind: "last", metrics: await childMetrics() }) };
}

async function answer(id: number, value: unknown): Promise<void> {
  await send({ kind: "answer", id, value: await value });
}

/** Resolves when it is on its way. */
function send(message: ToParent): Promise<void> {
  if (!process.connected) return Promise.resolve();
  return new Promise((resolve) => process.send?.(message, undefined, undefined, () => resolve()));
}
