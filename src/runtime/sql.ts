/**
 * The object `sql` of the module "scale". Statements are built here and run on the store; which connection, which server and what a
 * failure means is store/sql's. Inside sql.tx only the transaction's own tags may be used: a second connection would not see its
 * writes, and waits for ever where there is one session, as in the embedded database.
 */
import { AsyncLocalStorage } from "node:async_hooks";

import type { Fragment, Parameter, sql as Contract, Tx } from "scale";

import { ScaleError } from "../std/errors.ts";
import { handled } from "../std/handled.ts";
import type { SqlSession, Statement } from "../store/sql/sql.ts";
import { currentReader } from "./consistency.ts";
import { JsonText } from "./json_text.ts";
import { sqlStore } from "./runtime.ts";
import { fragment, list, name, statementOf, type Value } from "./statement.ts";

type Transaction = Parameters<typeof Contract.tx>[1];

/** The transaction whose body is running, however deep below it. */
const running = new AsyncLocalStorage<{ open: boolean }>();

/** What the three tags run on. */
interface Runner {
  read<R extends object>(statement: Statement): Promise<R[]>;
  write<R extends object>(statement: Statement): Promise<R[]>;
  json(statement: Statement): Promise<string>;
}

/** The three tags. `runner` is asked at each call: the stores open after this module is loaded. */
function tags(prefix: string, runner: (asked: string) => Runner): Tx {
  const tag =
    (how: "read" | "write") =>
    <R extends object>(strings: TemplateStringsArray, ...values: readonly Value[]): Promise<R[]> =>
      handled(run(how, strings, values));

  async function run<R extends object>(how: "read" | "write", strings: TemplateStringsArray, values: readonly Value[]) {
    const asked = `${prefix}.${how}`;
    return runner(asked)[how]<R>(statementOf(asked, strings, values));
  }

  async function json(strings: TemplateStringsArray, values: readonly Value[]) {
    const asked = `${prefix}.json`;
    return new JsonText(await runner(asked).json(statementOf(asked, strings, values)));
  }

  return {
    read: tag("read"),
    write: tag("write"),
    json: (strings: TemplateStringsArray, ...values: readonly (Parameter | Fragment)[]) =>
      handled(json(strings, values)),
  };
}

/** Reads where this request's or job's reads belong, writes on the primary. */
function routed(asked: string): Runner {
  const sql = storeFor(asked);
  return {
    read: (statement) => sql.read(statement, currentReader(sql)),
    write: (statement) => sql.query(statement, currentReader(sql)),
    json: (statement) => sql.readJson(statement, currentReader(sql)),
  };
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
  if (running.getStore()?.open) {
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

async function tx<T>(body: (tx: Tx) => Promise<T>, options?: Transaction): Promise<T> {
  const store = storeFor("sql.tx");
  return store.tx(
    async (session) => {
      const scope = { open: true };
      try {
        return await running.run(scope, () => body(tags("tx", () => inside(session))));
      } finally {
        scope.open = false;
      }
    },
    options,
    currentReader(store),
  );
}

export const sql: typeof Contract = {
  ...tags("sql", routed),
  tx: (body, options) => handled(tx(body, options)),
  fragment,
  name,
  list,
};
