/**
 * What a client's messages become before they enter the shared session. Prepared statements get their connection's prefix, so that two
 * clients may use one name. Statements that would reach other connections, or wait for data that cannot come, are replaced. Pure.
 */
import { splitScript } from "../sql/script.ts";
import { closeStatement, eachMessage, message, query, stringAt } from "./messages.ts";

export interface Translation {
  readonly bytes: Buffer;
  /** PostgreSQL will end its answer with ReadyForQuery: the last message is a Sync, a Query or a FunctionCall. */
  readonly complete: boolean;
  /** A statement may have changed settings or taken an advisory lock. */
  readonly touchesSession: boolean;
  /** The client wants its prepared statements gone. */
  readonly forgets: boolean;
}

export function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

const refuse = (text: string, hint: string): string =>
  `do $do$ begin raise exception using errcode = '0A000', message = ${literal(text)}, hint = ${literal(hint)}; end $do$`;

const comments = /^(?:\s|--[^\n]*(?:\n|$)|\/\*[^]*?\*\/)+/;
const touching = /(?:^|;)\s*(?:set|reset)\b|\bset_config\b|advisory/i;
const forgetting = /^(?:discard\s+all|deallocate\s+(?:prepare\s+)?all)\b/i;

/** Waits for data that cannot come, and ends PostgreSQL with it: also in the middle of a script. */
const copyFromStdin = /^copy\b[^]*\bfrom\s+stdin\b/i;
const comment = /--[^\n]*|\/\*[^]*?\*\//g;
const copyRefused = refuse(
  "COPY FROM STDIN does not work on the embedded database",
  "insert … select from unnest() or generate_series()",
);

/** Statement in place of the given one, where that cannot be run as it is. */
const replacements: readonly (readonly [RegExp, string])[] = [
  [
    /^listen\b/i,
    refuse("LISTEN does not work on the embedded database, whose one session is shared", "ask again after a pause"),
  ],
  [/^discard\s+all\b/i, "do $do$ begin perform pg_advisory_unlock_all(); reset all; end $do$"],
  [/^deallocate\s+(?:prepare\s+)?all\b/i, "do $do$ begin end $do$"],
];

/** How many of the bytes may be run now: up to the last message that PostgreSQL answers at once. Not: half a batch, half a message. */
export function runnableBytes(bytes: Buffer): number {
  let runnable = 0;
  eachMessage(bytes, (type, _, end) => {
    if ("QSHF".includes(type)) runnable = end;
  });
  return runnable;
}

/** The prepared statements of one connection, under the names they have in the shared session. */
export class StatementNames {
  readonly #prefix: string;
  readonly #names = new Set<string>();
  /** Those that touch the session whenever they run. */
  readonly #touching = new Set<string>();

  constructor(connection: number) {
    this.#prefix = `c${connection}_`;
  }

  /** Messages that close all of them. */
  closeAll(): Buffer {
    const messages = [...this.#names].map(closeStatement);
    this.#names.clear();
    this.#touching.clear();
    return Buffer.concat(messages);
  }

  /** Translates whole messages. */
  translate(bytes: Buffer): Translation {
    const parts: Buffer[] = [];
    const seen = { complete: true, touchesSession: false, forgets: false };
    eachMessage(bytes, (type, start, end) => {
      parts.push(this.#message(type, bytes, start, end, seen));
      seen.complete = "QSF".includes(type);
    });
    return { bytes: Buffer.concat(parts), ...seen };
  }

  #message(type: string, bytes: Buffer, start: number, end: number, seen: Seen): Buffer {
    const same = bytes.subarray(start, end);
    switch (type) {
      case "Q": {
        const text = stringAt(bytes, start + 5).text;
        const replaced = replacementOf(text, seen);
        return replaced === text ? same : query(replaced);
      }
      case "P":
        return this.#parse(bytes, start, end, seen);
      case "B": {
        const portal = stringAt(bytes, start + 5);
        const name = stringAt(bytes, portal.end);
        if (name.text === "") return same;
        seen.touchesSession ||= this.#touching.has(this.#prefix + name.text);
        return message("B", portal.text, this.#prefix + name.text, bytes.subarray(name.end, end));
      }
      case "D":
      case "C": {
        const name = stringAt(bytes, start + 6).text;
        if (bytes[start + 5] !== 0x53 || name === "") return same;
        if (type === "C") this.#names.delete(this.#prefix + name);
        return message(type, Buffer.from("S"), this.#prefix + name);
      }
      // Terminate would end PostgreSQL itself; the others are the data of a COPY that was refused.
      case "X":
      case "d":
      case "c":
      case "f":
        return Buffer.alloc(0);
      default:
        return same;
    }
  }

  #parse(bytes: Buffer, start: number, end: number, seen: Seen): Buffer {
    const name = stringAt(bytes, start + 5);
    const text = stringAt(bytes, name.end);
    const own = name.text === "" ? "" : this.#prefix + name.text;
    if (own !== "") this.#names.add(own);
    const here: Seen = { ...seen, touchesSession: false };
    const replaced = replacementOf(text.text, here);
    if (own !== "" && here.touchesSession) this.#touching.add(own);
    seen.touchesSession ||= here.touchesSession;
    seen.forgets ||= here.forgets;
    return message("P", own, replaced, bytes.subarray(text.end, end));
  }
}

type Seen = { -readonly [K in "complete" | "touchesSession" | "forgets"]: boolean };

function replacementOf(text: string, seen: Seen): string {
  const bare = text.replace(comments, "");
  const replaced = copies(text) ? copyRefused : (replacements.find(([pattern]) => pattern.test(bare))?.[1] ?? text);
  seen.touchesSession ||= touching.test(bare) || replaced !== text;
  seen.forgets ||= forgetting.test(bare);
  return replaced;
}

function copies(text: string): boolean {
  if (!/\bstdin\b/i.test(text)) return false;
  return splitScript(text).some((statement) => copyFromStdin.test(statement.text.replaceAll(comment, " ")));
}
