/**
 * Two applications before a primary and its standby, which they read from: the primary is killed under clients, the standby promoted. Nobody
 * loses what was acknowledged, nobody goes back in time, and whoever is refused is told why.
 */
import { expect, setDefaultTimeout, test } from "bun:test";

import { openSql } from "../../src/store/sql/sql.ts";
import { eventually } from "../harness/eventually.ts";
import { faultsOf, History } from "../harness/history.ts";
import { startSynchronousPair, type SynchronousPair } from "../harness/postgres.ts";
import { type ScaleProcess, startScale } from "../harness/process.ts";
import { freshNamespace, sharedRedis } from "../harness/redis.ts";

setDefaultTimeout(60_000);

const entry = `${import.meta.dir}/fixtures/positions.ts`;

/** A person with a session, as a browser keeps it. */
class Person {
  readonly #cookies = new Map<string, string>();

  /** Undefined where the answer is an error that a failover excuses. */
  async ask(url: string, method = "GET", body?: string): Promise<Response | undefined> {
    const cookie = [...this.#cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const response = await fetch(url, { method, headers: { cookie }, ...(body === undefined ? {} : { body }) });
    for (const line of response.headers.getSetCookie()) {
      const [name = "", value = ""] = line.split(";")[0]!.split("=");
      this.#cookies.set(name, value);
    }
    if (response.status === 200) return response;
    const { error } = (await response.json()) as { error: { code: string } };
    expect(["store_unavailable", "outcome_unknown", "overloaded"]).toContain(error.code);
    return undefined;
  }
}

async function start({ primary, standby, url }: SynchronousPair): Promise<ScaleProcess[]> {
  const sql = openSql(primary.url, { applicationName: "test", poolMax: 1, statementTimeout: 0 });
  const table = "create table positions (id text primary key, n int not null, seen text)";
  await sql.session((session) => session.script(table));
  await sql.close();
  const env = {
    DATABASE_URL: url,
    REPLICA_URL: standby.url,
    REDIS_URL: (await sharedRedis()).url,
    SCALE_NAMESPACE: freshNamespace(),
  };
  const one = () => startScale(["--role=app", entry, "--drain-delay=0"], { env, expectErrors: [/\/rows\/:id failed/] });
  return Promise.all([one(), one()]);
}

test("a primary is killed and its standby promoted: writes are kept, and views never get older", async () => {
  const servers = await startSynchronousPair();
  const apps = await start(servers);
  const history = new History();
  let isOver = false;
  const write = async (person: Person, name: string, key: string, app: ScaleProcess, version: number) => {
    const put = async () => {
      if ((await person.ask(`${app.url}/rows/${key}`, "PUT", String(version))) === undefined)
        throw new Error("refused");
    };
    await history.write(name, app.url, key, version, put).catch(() => undefined);
  };
  const read = async (person: Person, name: string, key: string, app: ScaleProcess) => {
    const get = async () => {
      const response = await person.ask(`${app.url}/rows/${key}`);
      if (response === undefined) throw new Error("refused");
      return ((await response.json()) as { n: number } | null)?.n ?? 0;
    };
    await history.read(name, app.url, key, get).catch(() => undefined);
  };
  const live = async (index: number) => {
    const [person, name, own] = [new Person(), `person ${index}`, `own-${index}`];
    await person.ask(`${apps[0]!.url}/begin`, "POST");
    for (let n = 1; !isOver; n++) {
      await write(person, name, own, apps[n % 2]!, n);
      await read(person, name, own, apps[(n + 1) % 2]!);
      await read(person, name, `own-${(index + 1) % 4}`, apps[n % 2]!);
    }
  };
  const lives = [0, 1, 2, 3].map(live);
  const acknowledged = () => history.events.filter(({ kind, isUnknown }) => kind === "write" && !isUnknown).length;
  try {
    await eventually(() => acknowledged() > 100);
    process.kill(servers.primary.pid(), "SIGKILL");
    await servers.standby.promote();
    const before = acknowledged();
    await eventually(() => acknowledged() > before + 100, { what: "writes going on", timeout: 20_000 });
  } finally {
    isOver = true;
    await Promise.all(lives);
    await Promise.all(apps.map((app) => app.stop()));
    await servers.standby.remove();
    await servers.primary.remove();
  }
  // Nothing acknowledged is lost: whoever wrote it reads it, on the new primary too.
  expect(faultsOf(history.events, { readYourWrites: true, monotonicReads: true })).toEqual([]);
});
