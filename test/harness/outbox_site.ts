// The application of the outbox's scenarios on one set of stores: its processes, what it wrote, and what ran because of that.

import { openSql, type Sql } from "../../src/store/sql/sql.ts";
import { runScale, type ScaleProcess, startScale } from "./process.ts";
import { freshNamespace } from "./redis.ts";

const entry = `${import.meta.dir}/../scenario/fixtures/outbox.ts`;

interface Run {
  readonly id: string;
  readonly name: string;
  readonly attempt: number;
}

/** An application and workers on one set of stores, and a look into its database. */
export class Site {
  readonly env: { readonly [name: string]: string };
  readonly sql: Sql;

  constructor(databaseUrl: string, redisUrl: string) {
    this.env = { DATABASE_URL: databaseUrl, REDIS_URL: redisUrl, SCALE_NAMESPACE: freshNamespace() };
    this.sql = openSql(databaseUrl, { applicationName: "test", poolMax: 2, statementTimeout: 10_000 });
  }

  async migrate(): Promise<void> {
    const { code, stdout, stderr } = await runScale(["migrate", entry], { env: this.env });
    if (code !== 0) throw new Error(stdout + stderr);
  }

  start(
    role: "app" | "worker",
    expectErrors: readonly RegExp[] = [],
    more: readonly string[] = [],
  ): Promise<ScaleProcess> {
    const flags = role === "app" ? ["--drain-delay=0", "--cache-timeout=2s"] : ["--job-lease=2s"];
    return startScale([`--role=${role}`, entry, ...flags, ...more], { env: this.env, expectErrors });
  }

  query<R extends object>(text: string): Promise<R[]> {
    return this.sql.query<R>({ text, parameters: [] });
  }

  runs(): Promise<Run[]> {
    return this.query<Run>("select id, name, attempt from runs order by number");
  }

  async waiting(): Promise<number> {
    const namespace = this.env["SCALE_NAMESPACE"];
    const rows = await this.query(
      `select 1 from scale.outbox where namespace = '${namespace}' and kind <> 'unreadable'`,
    );
    return rows.length;
  }
}

export const post = (app: ScaleProcess, path: string, body: unknown = {}) =>
  fetch(app.url + path, { method: "POST", body: JSON.stringify(body), keepalive: false });
export const signup = async (app: ScaleProcess, body: unknown): Promise<string> => {
  const response = await post(app, "/signup", body);
  if (response.status !== 200) throw new Error(`/signup answered ${response.status}: ${await response.text()}`);
  return ((await response.json()) as { id: string }).id;
};
