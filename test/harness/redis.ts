/**
 * A private Redis for the tests, on a free port of loopback, without persistence unless a test asks for it. One server serves a whole
 * test process, and every test takes a namespace of its own in it; a test that breaks its server starts another.
 * Invariant: no server outlives the test process (it is killed when its parent dies), and none that belongs to the system is used.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";

import { Redis } from "ioredis";

import { freePorts } from "../../src/io/free_port.ts";

export interface RedisServer {
  readonly url: string;
  readonly port: number;
  /** Its process id: kill -9, SIGSTOP. */
  pid(): number;
  /** A client for looking and for breaking things; the caller quits it. */
  client(): Redis;
  /** Starts it again on the same port, after a stop or a kill, with these settings besides. What was not saved is gone. */
  start(more?: { readonly [directive: string]: string }): Promise<void>;
  /** SIGKILL. */
  kill(): Promise<void>;
  /** Stops it and removes its directory. */
  remove(): Promise<void>;
}

let shared: Promise<RedisServer> | undefined;
let namespaces = 0;

/** The server of this test process; started at the first call, gone with the process. */
export function sharedRedis(): Promise<RedisServer> {
  shared ??= startRedis();
  return shared;
}

/** A namespace nobody else uses. */
export function freshNamespace(): string {
  return `test-${process.pid}-${++namespaces}`;
}

/** A server of its own, for a test that kills, stops, flushes or reconfigures it: `startRedis({ appendonly: "yes" })`. Without `port`, on any. */
export async function startRedis(settings: { readonly [directive: string]: string } = {}): Promise<RedisServer> {
  const directory = mkdtempSync(`${tmpdir()}/scale-redis-`);
  const port = Number(settings["port"] ?? freePorts(1)[0]);
  const password = settings["requirepass"];
  const all = { save: "", appendonly: "no", ...settings, dir: directory, port: String(port), bind: "127.0.0.1" };
  const launch = (more = {}) => {
    const flags = Object.entries({ ...all, ...more }).flatMap(([directive, value]) => [`--${directive}`, value]);
    const command = ["setpriv", "--pdeathsig=KILL", "redis-server", ...flags];
    return Bun.spawn(command, { stdio: ["ignore", "ignore", "inherit"] });
  };
  let server = launch();
  keep(directory);

  const client = () =>
    new Redis(port, "127.0.0.1", {
      retryStrategy: () => 20,
      maxRetriesPerRequest: null,
      ...(password === undefined ? {} : { password }),
    });
  const untilReady = async () => {
    const probe = client();
    probe.on("error", () => undefined);
    await probe.ping();
    probe.disconnect();
  };
  const kill = async () => {
    server.kill("SIGKILL");
    await server.exited;
  };
  await untilReady();
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    pid: () => server.pid,
    client,
    start: async (more) => {
      server = launch(more);
      await untilReady();
    },
    kill,
    remove: async () => {
      await kill();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** Waits for the end of this process, however it ends (`bun test` fires no exit event), then removes the directory. */
export function keep(directory: string): void {
  const script = 'cat >/dev/null; sleep 0.2; rm -rf "$1"';
  const keeper = Bun.spawn(["setsid", "sh", "-c", script, "keeper", directory], {
    stdio: ["pipe", "ignore", "ignore"],
  });
  keeper.unref();
}
