/**
 * A private PgBouncer in transaction mode before a private PostgreSQL, configured as its own manual begins: nothing that would make
 * it more lenient. Invariant: it does not outlive the test process.
 */
import { writeFileSync } from "node:fs";

import { freePorts } from "../../src/io/free_port.ts";
import { asServerUser, giveToServerUser, password, type PostgresCluster, untilReady } from "./postgres.ts";
import { temporaryDirectory } from "./temporary.ts";

export interface Bouncer {
  readonly port: number;
  /** Of a database of the server behind it, with the parameter that says what it is. */
  url(database: string): string;
  pid(): number;
  stop(): Promise<void>;
}

/** Starts one before `server`. `extra`: settings of its [pgbouncer] section. */
export async function startPgBouncer(
  server: PostgresCluster,
  extra: { readonly [setting: string]: string } = {},
): Promise<Bouncer> {
  const directory = temporaryDirectory("pgbouncer");
  const port = freePorts(1)[0]!;
  const settings = {
    listen_addr: "127.0.0.1",
    listen_port: String(port),
    unix_socket_dir: "",
    auth_type: "scram-sha-256",
    auth_file: `${directory}/users`,
    pool_mode: "transaction",
    max_client_conn: "500",
    ...extra,
  };
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}`);
  writeFileSync(`${directory}/users`, `"postgres" "${password}"\n`);
  writeFileSync(
    `${directory}/pgbouncer.ini`,
    `[databases]\n* = host=127.0.0.1 port=${server.port}\n[pgbouncer]\n${lines.join("\n")}\n`,
  );
  giveToServerUser(directory);
  const command = asServerUser(["pgbouncer", "--quiet", `${directory}/pgbouncer.ini`]);
  const bouncer = Bun.spawn(command, { stdio: ["ignore", "ignore", "inherit"] });
  const at = (url: string) => url.replace(`:${server.port}/`, `:${port}/`);
  await untilReady(at(server.url));
  return {
    port,
    url: (database) => `${at(database)}?pgbouncer=true`,
    pid: () => bouncer.pid,
    stop: async () => {
      bouncer.kill("SIGKILL");
      await bouncer.exited;
    },
  };
}
