/** What a Redis must be and allow, from what it says of itself; and that the list of rights is of what is really sent. */
import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";

import { serverFindings } from "../../src/cli/doctor/redis_info.ts";
import { commandsFor, rightsFindings, type Use } from "../../src/cli/doctor/redis_rights.ts";
import { hintFor } from "../../src/store/redis/hints.ts";

const healthy = {
  redis_version: "7.2.4",
  redis_mode: "standalone",
  role: "master",
  connected_slaves: "1",
  used_memory: "1000",
  maxmemory: "0",
  maxmemory_policy: "noeviction",
  rdb_last_bgsave_status: "ok",
  aof_enabled: "1",
  aof_last_write_status: "ok",
};
type Changes = { readonly [name in keyof typeof healthy]?: string } & { readonly [other: string]: string };

function findings(changes: Changes, { form = "server", isQueue = true, roundTrips = [0.2] } = {}) {
  const info = Object.entries({ ...healthy, ...changes }).map(([name, value]) => `${name}:${value}\r\n`);
  return serverFindings({ info: info.join(""), form: form as "server", isQueue, roundTrips });
}

describe("a Redis", () => {
  test("that is set up for what it does has no findings, nor one that says nothing of itself", () => {
    expect(findings({})).toEqual([]);
    expect(findings({ maxmemory: "2000", maxmemory_policy: "allkeys-lru" }, { isQueue: false })).toEqual([]);
    expect(serverFindings({ info: "", form: "cluster", isQueue: true, roundTrips: [] })).toEqual([]);
  });

  test.each<[Changes, object, string]>([
    [{ redis_version: "6.2.14" }, {}, "it is Redis 6.2.14, expected 7.0 or later"],
    [{ redis_mode: "sentinel" }, {}, "it is a Sentinel"],
    [{ redis_mode: "cluster" }, {}, "it is one server of a Cluster"],
    [{ role: "slave", master_host: "10.0.0.1", master_port: "6379" }, {}, "it is a replica of 10.0.0.1:6379"],
    [{ connected_slaves: "0" }, { form: "sentinel" }, "it has no replica"],
    [{ redis_mode: "cluster", connected_slaves: "0" }, { form: "cluster" }, "it has no replica"],
    [{ maxmemory: "2000" }, { isQueue: false }, "it refuses sessions and cached values when its memory is full"],
    [{ maxmemory: "1050" }, {}, "it is 95 % full (1000 of 1050 bytes), and refuses jobs once it is full"],
    [{ maxmemory_policy: "allkeys-lru" }, {}, "Redis deletes jobs when its memory is full"],
    [{ aof_enabled: "0" }, {}, "Redis forgets the jobs since its last snapshot"],
    [{ rdb_last_bgsave_status: "err" }, {}, "it cannot write to its disk (rdb_last_bgsave_status: err)"],
    [{ aof_last_write_status: "err" }, {}, "it cannot write to its disk (aof_last_write_status: err)"],
    [{}, { roundTrips: [9, 8, 30] }, "a ping takes 8.0 ms at best, expected at most 5"],
  ])("with %o in %o is a finding of its own, with what to do", (changes, how, finding) => {
    const [found, ...more] = findings(changes, how);
    expect(more).toEqual([]);
    expect(found).toStartWith(finding);
    expect(found).toMatch(/\n {2}Fix: |\(CONFIG SET /);
  });
});

describe("rights", () => {
  const uses: readonly Use[] = ["cache", "local", "queue"];
  const who = { user: "app", namespace: "shop" };

  test("that are missing are named, and granted", () => {
    expect(rightsFindings([], uses, who)).toEqual([]);
    expect(rightsFindings(["XADD KEY", "XGROUP CREATE KEY"], uses, who)).toEqual([
      "its user app may not run XADD, XGROUP CREATE\n  Fix: ACL SETUSER app +xadd +xgroup|create",
    ]);
  });

  test("to no key of ours at all are one finding", () => {
    const keyed = commandsFor(uses).filter((command) => command.includes("KEY"));
    expect(rightsFindings(keyed, uses, who)).toEqual([
      "its user app may not touch our keys: all begin with {shop:\n  Fix: ACL SETUSER app '~{shop:*'",
    ]);
  });

  test("to hear of changes are needed by what a process keeps, and by nothing else", () => {
    const [finding, ...more] = rightsFindings(["CLIENT TRACKING"], uses, who);
    expect(more).toEqual([]);
    expect(finding).toContain("cache.get with local keeps nothing");
    expect(finding).toContain("ACL SETUSER app +client|id +client|tracking +subscribe '&__redis__:invalidate'");
    expect(rightsFindings(["CLIENT TRACKING"], ["cache", "queue"], who)).toEqual([]);
  });

  const store = `${import.meta.dir}/../../src/store`;
  const ofQueue = readdirSync(`${store}/queue`).filter((file) => file.startsWith("redis"));
  /** Methods of the driver's client that are no commands, or others. */
  const others = /^(ON|CALL|CLIENT|SCRIPT|EVALSHA|DISCONNECT)$/;

  test.each<[readonly Use[], readonly string[]]>([
    [["cache"], ["kv/redis.ts"]],
    [["cache", "local"], ["kv/local.ts"]],
    [["queue"], ofQueue.map((file) => `queue/${file}`)],
  ])("for %p are those to every command in its source", (its, files) => {
    const listed = new Set(commandsFor(its).flatMap((command) => [command, command.split(" ")[0]]));
    const text = files.map((file) => readFileSync(`${store}/${file}`, "utf8")).join("\n");
    const inScripts = Array.from(text.matchAll(/redis\.p?call\('([A-Z]+)'/g), ([, name]) => name!);
    const byDriver = Array.from(text.matchAll(/\bclient\.([a-z]+)\(/g), ([, name]) => name!.toUpperCase());
    const two = Array.from(
      text.matchAll(/(?:'(XGROUP|XINFO)', '|\.(client)\(")([A-Z]+)/g),
      ([, lua, ts, second]) => `${lua ?? ts!.toUpperCase()} ${second}`,
    );
    const sent = new Set([...inScripts, ...byDriver.filter((name) => !others.test(name)), ...two]);
    expect(sent.size).toBeGreaterThan(4);
    const ofKeys = (command: string) => listed.has(command) || listed.has(`${command} KEY`);
    expect([...sent].filter((command) => !ofKeys(command))).toEqual([]);
  });
});

test.each([
  ["WRONGPASS invalid username-password pair or user is disabled.", "check user and password"],
  ["NOPERM this user has no permissions to run the 'xadd' command", "scale doctor --redis"],
  ["connect ECONNREFUSED 127.0.0.1:1", "check that it runs"],
  ["getaddrinfo ENOTFOUND nohost.invalid", "check the host in the URL"],
  ["self signed certificate", "NODE_EXTRA_CA_CERTS"],
  ["read ECONNRESET", "rediss:// instead of redis://"],
  ["no answer within 5000ms", "check that the server is up and reachable"],
])("of a Redis that says %s it is said what to do", (said, hint) => {
  expect(hintFor(said)).toContain(hint);
});
