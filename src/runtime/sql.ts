/**
 * The object `sql` of the module "scale". Statements are built here and run on the store; which connection, which server and what a
 * failure means is store/sql's. Inside sql.tx only the transaction's own tags may be used: a second connection would not see its
 * writes, and waits for ever where there is one session, as in the embedded database.
 */
import type { Fragment, Parameter, sql as Contract, Tx } from "scale";

import { ScaleError } from "../std/errors.ts";
import { handled } from "../std/handled.ts";
import type { SqlSession, Statement } from "../store/sql/sql.ts";
import { currentOwner, currentReader, currentWriter } from "./consistency.ts";
import { JsonText } from "./json_text.ts";
import { sqlStore } from "./runtime.ts";
import { changesRows, fragment, list, name, statementOf, type Value } from "./statement.ts";
import { noteStatement } from "./statements.ts";
import { committed, inTransaction, runningTransaction, type Transaction } from "./transaction.ts";

type Options = Parameters<typeof Contract.tx>[1];

/** What the three tags run on. */
interface Runner {
  read<R extends object>(statement: Statement): Promise<R[]>;
  write<R extends object>(statement: Statement): Promise<R[]>;
  json(statement: Statement): Promise<Uint8Array<ArrayBuffer>>;
}

/** The three tags. `runner` is asked at each call: the stores open after this module is loaded. */
function tags(prefix: string, runner: (asked: string) => Runner): Tx {
  const tag =
    (how: "read" | "write") =>
    <R extends object>(strings: TemplateStringsArray, ...values: readonly Value[]): Promise<R[]> =>
      handled(run(`${prefix}.${how}`, how, strings, values));

  /** What is wrong with a statement is its promise's rejection, as what goes wrong with it later. */
  function run<R extends object>(
    asked: string,
    how: "read" | "write",
    strings: TemplateStringsArray,
    values: readonly Value[],
  ): Promise<R[]> {
    try {
      return runner(asked)[how]<R>(noted(statementOf(asked, strings, values)));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  async function json(strings: TemplateStringsArray, values: readonly Value[]) {
    const asked = `${prefix}.json`;
    return new JsonText(await runner(asked).json(noted(statementOf(asked, strings, values))));
  }

  return {
    read: tag("read"),
    write: tag("write"),
    json: (strings: TemplateStringsArray, ...values: readonly (Parameter | Fragment)[]) =>
      handled(json(strings, values)),
  };
}

function noted(statement: Statement): Statement {
  noteStatement(statement.text);
  return statement;
}

/** Reads where this request's or job's reads belong, writes on the primary. */
function routed(asked: string): Runner {
  const sql = storeFor(asked);
  return {
    read: (statement) => sql.read(onlyReading(statement), currentReader(sql), currentOwner()),
    write: (statement) => sql.query(statement, currentWriter(sql), currentOwner()),
    json: (statement) => sql.readJson(statement, currentReader(sql), currentOwner()),
  };
}

/** A read is run again where its server goes away, and on a replica: what changes something works with one server only, and might be done twice. */
function onlyReading(statement: Statement): Statement {
  if (!changesRows(statement.text)) return statement;
  throw new ScaleError("statement_invalid", "sql.read was given a statement that changes rows", {
    hint: "sql.write`…` returns rows too, with returning",
  });
}

/** Everything in the transaction. */
function inside(session: SqlSession): Runner {
  return {
    read: (statement) => session.query(statement),
    write: (statement) => session.query(statement),
    json: (statement) => session.json(statement),
  };
}

function storeFor(asked: string) {
  if (runningTransaction() !== undefined) {
    const own = asked === "sql.tx" ? "pass the outer tx on" : `use ${asked.replace("sql.", "tx.")}`;
    throw new ScaleError(
      "statement_invalid",
      `${asked} was called inside sql.tx, where it would be outside the transaction`,
      {
        hint: `${own}; what must happen whatever becomes of the transaction comes after it`,
      },
    );
  }
  return sqlStore(asked);
}

async function tx<T>(body: (tx: Tx) => Promise<T>, options?: Options): Promise<T> {
  const store = storeFor("sql.tx");
  let last: Transaction | undefined;
  const run = (session: SqlSession) => {
    last = { open: true, session, afterCommit: [] };
    const handle = tags("tx", () => inside(session));
    return inTransaction(last, handle, body);
  };
  const result = await store.tx(run, options, currentWriter(store), currentOwner());
  if (last !== undefined) await committed(last);
  return result;
}

export const sql: typeof Contract = {
  ...tags("sql", routed),
  tx: (body, options) => handled(tx(body, options)),
  fragment,
  name,
  list,
};
