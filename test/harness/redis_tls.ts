/**
 * Redis that speaks nothing but TLS, in each of its forms, with certificates of an authority nobody knows: one server, a Sentinel that watches
 * it, and a Cluster of one. Invariant: as in redis.ts, none of them outlives the test process.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { Redis } from "ioredis";

import { freePorts } from "../../src/io/free_port.ts";
import { makeCertificates } from "./certificates.ts";
import { eventually } from "./eventually.ts";
import { temporaryDirectory } from "./temporary.ts";

export interface TlsServers {
  /** Name of the form → its URL, with the password in it. */
  readonly urls: { readonly [form: string]: string };
  /** Path of the authority's certificate. */
  readonly authority: string;
  remove(): Promise<void>;
}

const password = "harness-tls";

export async function startTlsRedis(): Promise<TlsServers> {
  const directory = temporaryDirectory("redistls");
  makeCertificates(directory);
  const authority = join(directory, "authority.pem");
  const [alone, sentinel, cluster, bus] = freePorts(4) as [number, number, number, number];
  const tls = [
    `tls-cert-file ${directory}/server.pem`,
    `tls-key-file ${directory}/server.key`,
    `tls-ca-cert-file ${authority}`,
    "tls-auth-clients no",
    "tls-replication yes",
    "port 0",
    "bind 127.0.0.1",
  ];
  const server = [...tls, 'save ""', `requirepass ${password}`];
  const watching = [`sentinel monitor main 127.0.0.1 ${alone} 1`, `sentinel auth-pass main ${password}`];
  const member = ["cluster-enabled yes", "tls-cluster yes", `cluster-port ${bus}`];
  const running = [
    launch(directory, "alone", [...server, `tls-port ${alone}`]),
    launch(directory, "sentinel", [...tls, ...watching, `tls-port ${sentinel}`], "--sentinel"),
    launch(directory, "cluster", [...server, ...member, `tls-port ${cluster}`]),
  ];
  const client = new Redis(cluster, "127.0.0.1", { password, tls: { ca: readFileSync(authority) } });
  client.on("error", () => undefined);
  await client.cluster("ADDSLOTSRANGE", 0, 16_383);
  await eventually(async () => (await client.cluster("INFO")).includes("cluster_state:ok"));
  client.disconnect();
  return {
    urls: {
      alone: `rediss://:${password}@127.0.0.1:${alone}`,
      sentinel: `rediss+sentinel://:${password}@127.0.0.1:${sentinel}/main`,
      cluster: `rediss+cluster://:${password}@127.0.0.1:${cluster}`,
    },
    authority,
    remove: async () => {
      for (const one of running) one.kill("SIGKILL");
      await Promise.all(running.map(({ exited }) => exited));
    },
  };
}

function launch(directory: string, name: string, lines: readonly string[], ...flags: readonly string[]) {
  const home = join(directory, name);
  mkdirSync(home);
  writeFileSync(join(home, "redis.conf"), `${[`dir ${home}`, ...lines].join("\n")}\n`);
  const command = ["setpriv", "--pdeathsig=KILL", "redis-server", join(home, "redis.conf"), ...flags];
  return Bun.spawn(command, { stdio: ["ignore", "ignore", "inherit"] });
}
