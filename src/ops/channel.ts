/**
 * What a supervisor and its children say to each other over a child's channel (JSON, in order, lost when either ends): questions with
 * answers, and tidings of a role's own (`tell`). The supervisor's end is Channel; the child's end is parent.ts. Both are the same
 * binary, so the messages carry no version.
 */
import { withDeadline } from "../std/deadline.ts";
import { ScaleError } from "../std/errors.ts";

/** "load": of role lb, how busy its services are; "page": what an operator's page says (child_pages.ts). */
export type Question = "readiness" | "metrics" | "load" | "page";

/** `about`: what the question is about, where that is not all. */
export interface Asked {
  readonly question: Question;
  readonly about?: unknown;
}

export type ToChild =
  ({ readonly kind: "ask"; readonly id: number } & Asked) | { readonly kind: "tell"; readonly what: unknown };

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
  async ask(asked: Asked, milliseconds: number, send: (message: ToChild) => void): Promise<unknown> {
    const id = ++this.#asked;
    const answer = Promise.withResolvers<unknown>();
    this.#open.set(id, answer.resolve);
    try {
      send({ kind: "ask", id, ...asked });
      return await withDeadline(
        answer.promise,
        milliseconds,
        () => new ScaleError("internal", `no answer about its ${asked.question} within ${milliseconds} ms`),
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
