/** A Redis that is set up wrongly is found before it hurts: on real servers, users with rights of their own, Sentinels and a Cluster. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";

import { eventually } from "../harness/eventually.ts";
import { runScale, startScale } from "../harness/process.ts";
import { type RedisServer, startRedis } from "../harness/redis.ts";
import { sharedRedisCluster } from "../harness/redis_cluster.ts";
import { sharedSentinels } from "../harness/sentinels.ts";

setDefaultTimeout(60_000);

const namespace = "doctor";
const password = "doctor-secret";
let redis: RedisServer;
beforeAll(async () => void (redis = await startRedis({ appendonly: "yes" })));
afterAll(() => redis.remove());

/** On the server as it is asked about, with the right password of a user, or of none. */
function doctor(url: string) {
  return runScale(["doctor", "--redis", `--namespace=${namespace}`], { env: { REDIS_URL: url } });
}

async function user(name: string, ...rules: readonly string[]): Promise<string> {
  const client = redis.client();
  await client.call("ACL", "SETUSER", name, "reset", "on", `>${password}`, ...rules);
  client.disconnect();
  return `redis://${name}:${password}@127.0.0.1:${redis.port}`;
}

test("a Redis that is set up for everything has no findings, whoever it is told to by", async () => {
  const url = await user("all", "+@all", `~{${namespace}:*`, "&*");
  for (const each of [redis.url, url]) {
    const { code, stdout } = await doctor(each);
    expect(stdout).toContain(`cache and sessions, queue: Redis 7.0.`);
    expect(stdout.trim().split("\n")).toHaveLength(1);
    expect(code).toBe(0);
  }
});

test("who may not do what is needed is told what, and how to be given it; then nothing is left to find", async () => {
  const url = await user("few", "+@all", "-xadd", "-client|tracking", "~other:*");
  const first = await doctor(url);
  expect(first.code).toBe(1);
  expect(first.stdout).toContain(`Fix: ACL SETUSER few '~{${namespace}:*'`);
  expect(first.stdout).toContain("cache.get with local keeps nothing");
  await user("few", "+@all", "-xadd", "-client|tracking", `~{${namespace}:*`);
  const second = await doctor(url);
  expect(second.stdout).toContain("its user few may not run XADD\n  Fix: ACL SETUSER few +xadd");
  const fixes = Array.from(second.stdout.matchAll(/Fix: ACL SETUSER few (.*)/g), ([, rules]) =>
    rules!.split(" "),
  ).flat();
  await user(
    "few",
    "+@all",
    "-xadd",
    "-client|tracking",
    `~{${namespace}:*`,
    ...fixes.map((rule) => rule.replaceAll("'", "")),
  );
  expect(await doctor(url)).toMatchObject({ code: 0 });
  const text = first.stdout + first.stderr + second.stdout + second.stderr;
  expect(text).not.toContain(password);
});

test("what it is set up for and lacks is said: a queue that may be evicted, on a server that forgets", async () => {
  const other = await startRedis({ maxmemory: "100mb", "maxmemory-policy": "allkeys-lru" });
  const { code, stdout } = await doctor(other.url);
  expect(stdout).toContain("maxmemory-policy is allkeys-lru, a queue needs noeviction");
  expect(stdout).toContain("it has no append-only file");
  expect(code).toBe(1);
  const apart = [
    "doctor",
    "--redis",
    `--namespace=${namespace}`,
    `--cache-url=${other.url}`,
    `--queue-url=${redis.url}`,
  ];
  const divided = await runScale(apart);
  expect(divided.stdout).toContain(`cache and sessions: Redis 7.0.`);
  expect(divided.stdout).toContain(`queue: Redis 7.0.`);
  expect(divided.code).toBe(0);
  await other.remove();
});

test.each<[string, () => Promise<string>, readonly string[]]>([
  ["nobody", async () => "redis://127.0.0.1:1", ["ECONNREFUSED", "check that it runs"]],
  [
    "a wrong password",
    async () => (await user("locked", "+@all")).replace(password, "wrong"),
    ["WRONGPASS", "check user and password"],
  ],
  [
    "no Sentinel",
    async () => `redis+sentinel://127.0.0.1:${redis.port}/main`,
    ["usually on port 26379", "names 1 of the Sentinels"],
  ],
  ["no Cluster", async () => `redis+cluster://127.0.0.1:${redis.port}`, ["cluster support disabled", "redis://"]],
])("a URL that leads to %s says so, with what to do", async (_, urlOf, told) => {
  const { code, stdout, stderr } = await doctor(await urlOf());
  for (const text of told) expect(stdout).toContain(text);
  expect(code).toBe(1);
  expect(stderr).toBe("");
  expect(stdout).not.toContain("wrong@");
});

test("Sentinels and a Cluster are asked as such, and a server of theirs that is named alone is found out", async () => {
  const sentinels = await sharedSentinels();
  const watched = await doctor(sentinels.url);
  expect(watched.stdout).toMatch(/Redis 7\.0\.\d+ at 127\.0\.0\.1:\d+, main of the Sentinels /);
  expect(watched.stdout).not.toContain("Sentinel 127");
  const unknown = await doctor(sentinels.url.replace("/main", "/other"));
  expect(unknown.stdout.match(/it knows no primary called other/g)).toHaveLength(3);

  const cluster = await sharedRedisCluster();
  const whole = await doctor(cluster.url);
  expect(whole.stdout.match(/cache and sessions, queue: Redis 7\.0\./g)).toHaveLength(3);
  expect(whole.stdout).not.toContain("the Cluster is down");
  const one = cluster.url.replace("redis+cluster", "redis").replace(/,[^/]*/, "");
  expect((await doctor(one)).stdout).toContain("it is one server of a Cluster");
});

test("an application whose user may not be told of changes says so once, and serves all the same; once it may, values are kept", async () => {
  const entry = `${import.meta.dir}/fixtures/kept.ts`;
  const url = await user("untold", "+@all", "-client|tracking", `~{${namespace}:*`);
  await using app = await startScale(
    ["--role=app", entry, `--namespace=${namespace}`, "--drain-delay=0", "--cache-outcomes=show"],
    {
      env: { REDIS_URL: url },
    },
  );
  const outcome = async () => (await fetch(`${app.url}/near`)).headers.get("server-timing");
  const told = () => app.log().filter((line) => line.includes("keeps nothing in this process"));
  expect(await outcome()).toContain("miss");
  await eventually(() => told().length > 0);
  // Longer than it takes to try again.
  for (const until = performance.now() + 2_500; performance.now() < until; await Bun.sleep(100)) {
    expect(await outcome()).toContain("hit");
  }
  expect(await (await fetch(`${app.url}/session`)).json()).toBe(1);
  expect(told()).toHaveLength(1);
  expect(told()[0]).toContain("NOPERM");
  expect(told()[0]).toContain("Fix: ACL SETUSER USER +client|id +client|tracking +subscribe '&__redis__:invalidate'");
  await user("untold", "+@all", `~{${namespace}:*`, "&__redis__:invalidate");
  await eventually(async () => (await outcome())?.includes("local"));
});
