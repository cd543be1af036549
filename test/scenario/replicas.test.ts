/** Two applications before a primary and two replicas: what a client wrote it sees, whichever application it asks next. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";

import { openSql } from "../../src/store/sql/sql.ts";
import { eventually } from "../harness/eventually.ts";
import { faultsOf, History } from "../harness/history.ts";
import { currentScope } from "../harness/leaks.ts";
import { metric } from "../harness/metrics.ts";
import { type PostgresCluster, type Replica, startPostgres, startReplica } from "../harness/postgres.ts";
import { childrenOf, commandOf, connectionsOf } from "../harness/proc.ts";
import { type ScaleProcess, startScale } from "../harness/process.ts";
import { freshNamespace, sharedRedis } from "../harness/redis.ts";

setDefaultTimeout(60_000);

const entry = `${import.meta.dir}/fixtures/positions.ts`;
let primary: PostgresCluster;
let replicas: Replica[] = [];
let apps: ScaleProcess[] = [];
let env: { [name: string]: string } = {};

beforeAll(async () => {
  const scope = currentScope();
  primary = await startPostgres();
  replicas = await Promise.all([startReplica(primary), startReplica(primary)]);
  await execute(primary.url, "create table positions (id text primary key, n int not null, seen text)");
  env = {
    DATABASE_URL: primary.url,
    REPLICA_URL: replicas.map(({ url }) => url).join(" "),
    REDIS_URL: (await sharedRedis()).url,
    SCALE_NAMESPACE: freshNamespace(),
  };
  const start = () => startScale(["--role=app", entry, "--drain-delay=0"], { env, scope });
  apps = await Promise.all([start(), start()]);
  for (const app of apps) await eventually(async () => (await serversOf(app, 20)).size === 2);
});
afterAll(async () => {
  for (const app of apps) await app.stop();
  await Promise.all(replicas.map((replica) => replica.remove()));
  await primary.remove();
});

/** A person's browser, or an API client: keeps what it is given and sends it back. */
class Client {
  readonly #cookies = new Map<string, string>();
  readonly #usesField: boolean;
  position = "";

  constructor(usesField = false) {
    this.#usesField = usesField;
  }

  async ask(app: ScaleProcess, path: string, method = "GET", body?: string): Promise<unknown> {
    const cookie = [...this.#cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const headers = { cookie, ...(this.#usesField ? { "scale-position": this.position } : {}) };
    const response = await fetch(`${app.url}${path}`, { method, headers, ...(body === undefined ? {} : { body }) });
    expect(response.status).toBe(200);
    for (const line of response.headers.getSetCookie()) {
      const [name = "", value = ""] = line.split(";")[0]!.split("=");
      this.#cookies.set(name, value);
    }
    this.position = response.headers.get("scale-position") ?? this.position;
    return response.json();
  }

  get cookies(): ReadonlyMap<string, string> {
    return this.#cookies;
  }
}

async function serversOf(app: ScaleProcess, count: number, client = new Client()): Promise<Set<number>> {
  const ports = new Set<number>();
  for (let n = 0; n < count; n++) ports.add(((await client.ask(app, "/server")) as { port: number }).port);
  return ports;
}

async function execute(url: string, text: string): Promise<void> {
  const sql = openSql(url, { applicationName: "test", poolMax: 1, statementTimeout: 0 });
  try {
    await sql.session((session) => session.script(text));
  } finally {
    await sql.close();
  }
}

test("metrics name each server, and say which replicas are read from", async () => {
  for (const { port } of replicas) {
    const server = { server: `127.0.0.1:${port}` };
    await eventually(async () => (await metric(apps[0]!.adminUrl, "sql_replica_readable", server)) === 1);
    expect(await metric(apps[0]!.adminUrl, "sql_replica_lag_seconds", server)).toBeLessThan(1);
    expect(await metric(apps[0]!.adminUrl, "sql_statements_total", server)).toBeGreaterThan(0);
    const reads = { ...server, operation: "read" };
    expect(await metric(apps[0]!.adminUrl, "sql_query_seconds_count", reads)).toBeGreaterThan(0);
  }
  await new Client().ask(apps[0]!, "/rows/timed", "PUT", "1");
  const writes = { server: `127.0.0.1:${primary.port}`, operation: "write" };
  expect(await metric(apps[0]!.adminUrl, "sql_query_seconds_count", writes)).toBeGreaterThan(0);
});

describe("a client", () => {
  test.each([
    ["with cookies", false],
    ["with the field Scale-Position", true],
  ])("%s sees what it wrote through one application in the other, always", async (name, usesField) => {
    const clients = Array.from({ length: 6 }, () => new Client(usesField));
    const write = async (client: Client, index: number) => {
      for (let n = 1; n <= 30; n++) {
        await client.ask(apps[n % 2]!, `/rows/${name}-${index}`, "PUT", String(n));
        expect(await client.ask(apps[(n + 1) % 2]!, `/rows/${name}-${index}`)).toMatchObject({ n });
      }
    };
    await Promise.all(clients.map(write));
  });

  test("that has written reads from the primary until its replica has caught up, then from one replica only", async () => {
    const client = new Client();
    await execute(replicas[0]!.url, "select pg_wal_replay_pause()");
    await execute(replicas[1]!.url, "select pg_wal_replay_pause()");
    try {
      await client.ask(apps[0]!, "/rows/paused", "PUT", "7");
      expect(await serversOf(apps[1]!, 5, client)).toEqual(new Set([primary.port]));
      expect(await client.ask(apps[1]!, "/rows/paused")).toMatchObject({ n: 7 });
    } finally {
      await execute(replicas[0]!.url, "select pg_wal_replay_resume()");
      await execute(replicas[1]!.url, "select pg_wal_replay_resume()");
    }
    // Each application polls for itself.
    for (const app of apps) await eventually(async () => !(await serversOf(app, 1, client)).has(primary.port));
    const served = new Set([...(await serversOf(apps[0]!, 5, client)), ...(await serversOf(apps[1]!, 5, client))]);
    expect(served.size).toBe(1);
  });

  test("that only reads gets no cookie, and one with a session is pinned", async () => {
    const stranger = new Client();
    await serversOf(apps[0]!, 3, stranger);
    expect([...stranger.cookies.keys()]).toEqual([]);
    const known = new Client();
    await known.ask(apps[0]!, "/begin", "POST");
    await serversOf(apps[0]!, 1, known);
    expect([...known.cookies.keys()].toSorted()).toEqual(["position", "sid"]);
    const served = new Set([...(await serversOf(apps[0]!, 10, known)), ...(await serversOf(apps[1]!, 10, known))]);
    expect(served.size).toBe(1);
  });

  test("whose token is forged or garbled sees everything, and learns no address from it", async () => {
    const client = new Client(true);
    await client.ask(apps[0]!, "/rows/forged", "PUT", "1");
    expect(client.position).toMatch(/^v1\./);
    for (const { port } of replicas) expect(client.position).not.toContain(String(port));
    const writer = new Client();
    for (const given of [
      client.position.replace(/\d-/, "0-"),
      "v1.a.b",
      "x".repeat(5_000),
      "v1.......",
      `v1.a.b.${"é".repeat(22)}`,
    ]) {
      await writer.ask(apps[0]!, "/rows/forged", "PUT", "2");
      const forger = new Client(true);
      forger.position = given;
      expect(await forger.ask(apps[1]!, "/rows/forged")).toMatchObject({ n: 2 });
    }
  });
});

test("the key of the position cookie is changed without a client's position being lost on the way", async () => {
  const [old, fresh] = ["the key of last year", "the key of this year"].map((key) => key.replaceAll(" ", "-"));
  const start = (keys: string) =>
    startScale(["--role=app", entry, "--drain-delay=0"], { env: { ...env, SCALE_POSITION_KEY: keys } });
  await using before = await start(`${old} ${fresh}`);
  await using during = await start(`${fresh} ${old}`);
  await using after = await start(fresh!);
  const client = new Client(true);
  const keyAfter = async (app: ScaleProcess) => {
    await client.ask(app, "/rows/keys", "PUT", "1");
    return client.position.split(".")[1];
  };
  const key = await keyAfter(before);
  const ofOld = client.position;
  for (const app of [during, after, during, before]) expect(await keyAfter(app)).toBe(key);
  client.position = ofOld;
  expect(await keyAfter(after)).not.toBe(key);
  const warned = (app: ScaleProcess) => app.log().some((line) => line.includes("--position-key"));
  expect([warned(apps[0]!), warned(after)]).toEqual([true, false]);
});

test("a job sees what was written before it was enqueued", async () => {
  await using worker = await startScale(["--role=worker", entry], { env });
  expect(worker.adminUrl).toBeString();
  const client = new Client();
  for (let n = 1; n <= 20; n++) {
    await client.ask(apps[0]!, "/rows/job", "PUT", String(n));
    await client.ask(apps[1]!, "/look/job", "POST");
    await eventually(async () => ((await client.ask(apps[1]!, "/rows/job")) as { seen: string }).seen === String(n));
  }
});

/** The standby's sender at the primary. */
async function senderOf(replica: Replica): Promise<number> {
  const receiver = childrenOf(replica.pid()).find((pid) => commandOf(pid).includes("walreceiver"));
  const ports = connectionsOf(receiver!).map(({ localPort }) => localPort);
  const sql = openSql(primary.url, { applicationName: "test", poolMax: 1, statementTimeout: 0 });
  try {
    const text = "select pid from pg_stat_replication where client_port = any($1)";
    const [sender] = await sql.query<{ pid: number }>({ text, parameters: [ports] });
    return sender!.pid;
  } finally {
    await sql.close();
  }
}

const breaks: { readonly [how: string]: () => Promise<void> } = {
  "is killed and comes back": async () => {
    process.kill(replicas[1]!.pid(), "SIGKILL");
    await Bun.sleep(2_000);
    await replicas[1]!.start();
  },
  "replays nothing for a while": async () => {
    await execute(replicas[1]!.url, "select pg_wal_replay_pause()");
    await Bun.sleep(2_000);
    await execute(replicas[1]!.url, "select pg_wal_replay_resume()");
  },
  "hears nothing for a while": async () => {
    const sender = await senderOf(replicas[1]!);
    process.kill(sender, "SIGSTOP");
    await Bun.sleep(2_000);
    process.kill(sender, "SIGCONT");
  },
};

test.each(Object.keys(breaks))(
  "a replica that %s costs no request, and nobody an older view than they had",
  async (how) => {
    const history = new History();
    let isOver = false;
    const write = async (client: Client, name: string, key: string, app: ScaleProcess, n: number) =>
      history.write(name, app.url, key, n, () => client.ask(app, `/rows/${key}`, "PUT", String(n)));
    const read = async (client: Client, name: string, key: string, app: ScaleProcess) =>
      history.read(name, app.url, key, async () => {
        const row = (await client.ask(app, `/rows/${key}`)) as { n: number } | null;
        return row?.n ?? 0;
      });
    const [shared, own] = [`shared ${how}`, `own ${how}`];
    const person = async (index: number) => {
      const [client, name] = [new Client(index % 2 === 0), `person ${index}`];
      await client.ask(apps[0]!, "/begin", "POST");
      for (let n = 1; !isOver; n++) {
        await write(client, name, `${own} ${index}`, apps[n % 2]!, n);
        await read(client, name, `${own} ${index}`, apps[(n + 1) % 2]!);
        await read(client, name, shared, apps[n % 2]!);
        await read(client, name, shared, apps[(n + 1) % 2]!);
      }
    };
    const writer = async () => {
      const client = new Client();
      for (let n = 1; !isOver; n++) await write(client, "writer", shared, apps[n % 2]!, n);
    };
    const work = [writer(), ...[0, 1, 2, 3].map(person)];
    try {
      await eventually(() => history.events.length > 100);
      await breaks[how]!();
      await eventually(async () => (await serversOf(apps[0]!, 20)).size === 2, {
        what: "the replica being read again",
      });
    } finally {
      isOver = true;
      await Promise.all(work);
    }
    expect(faultsOf(history.events, { readYourWrites: true, monotonicReads: true })).toEqual([]);
  },
);
