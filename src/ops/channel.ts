/**
 * What a supervisor and its children say to each other over a child's channel (JSON, in order, lost when either ends): questions with
 * answers, and tidings of a role's own (`tell`). The supervisor's end is Channel; the child's end is parent.ts. Both are the same
 * binary, so the messages carry no version.
 */
import { withDeadline } from "../std/deadline.ts";
import { ScaleError } from "../std/errors.ts";

/** "load": of role lb, how busy its services are. */
export type Question = "readiness" | "metrics" | "load";

export type ToChild =
  | { readonly kind: "ask"; readonly id: number; readonly question: Question }
  | { readonly kind: "tell"; readonly what: unknown };

export type ToParent =
  | { readonly kind: "answer"; readonly id: number; readonly value: unknown }
  | { readonly kind: "tell"; readonly what: unknown }
  /** The metrics of a process that ends, after its last request. */
  | { readonly kind: "last"; readonly metrics: unknown };

/** The supervisor's questions to one child that are not answered yet. */
export class Channel {
  readonly #open = new Map<number, (value: unknown) => void>();
  #asked = 0;

  /** Rejects where no answer comes in time: the child is gone, or its loop is blocked. */
  async ask(question: Question, milliseconds: number, send: (message: ToChild) => void): Promise<unknown> {
    const id = ++this.#asked;
    const answer = Promise.withResolvers<unknown>();
    this.#open.set(id, answer.resolve);
    try {
      send({ kind: "ask", id, question });
      return await withDeadline(
        answer.promise,
        milliseconds,
        () => new ScaleError("internal", `no answer about its ${question} within ${milliseconds} ms`),
      );
    } finally {
      this.#open.delete(id);
    }
  }

  /** An answer that came too late is nobody's any more. */
  answered(id: number, value: unknown): void {
    this.#open.get(id)?.(value);
  }
}
