/** A URL of several Redis servers becomes the addresses it names, or an error that says what was expected and no password. */
import { expect, test } from "bun:test";

import { parseArguments } from "../../src/config/arguments.ts";
import { loadConfig } from "../../src/config/load.ts";
import { printConfig } from "../../src/config/print.ts";
import { parseClusterUrl, parseSentinelUrl } from "../../src/std/redis_url.ts";

test.each([
  ["redis+sentinel://a,b:5,[::1]:7/main", { sentinels: ["a:26379", "b:5", "::1:7"], name: "main", tls: false }],
  ["rediss+sentinel://a/my.db-1_x", { sentinels: ["a:26379"], name: "my.db-1_x", tls: true }],
  ["redis+sentinel://:p%40,w@a,b/n", { sentinels: ["a:26379", "b:26379"], username: undefined, password: "p@,w" }],
  [
    "redis+sentinel://u:p@a/n?sentinel_username=su&sentinel_password=s%26p",
    { username: "u", password: "p", sentinelUsername: "su", sentinelPassword: "s&p" },
  ],
])("%s", (url, expected) => {
  const address = parseSentinelUrl(url);
  expect({ ...address, sentinels: address.sentinels.map(({ host, port }) => `${host}:${port}`) }).toMatchObject(
    expected,
  );
});

test("its passwords are masked by --print-config, and warned about in argv", () => {
  const url = "redis+sentinel://:hunter2@a:1,b:2/n?sentinel_password=hunter3";
  const args = parseArguments(["--role=worker", `--redis-url=${url}`]);
  const loaded = loadConfig("worker", args, {}, ["scale"]);
  const printed = printConfig(loaded);
  expect(printed).toContain("redis+sentinel://:•••@a:1,b:2/n?sentinel_password=•••");
  expect(printed).not.toMatch(/hunter/);
  expect(loaded.warnings).toEqual([expect.stringContaining("--redis-url carries a secret")]);
});

test.each([
  ["redis+sentinel://a,b,c", "the primary's name after the hosts"],
  ["redis+sentinel://a,b/", "the primary's name after the hosts"],
  ["redis+sentinel://a/n/2", "the primary's name after the hosts"],
  ["redis+sentinel://a,,b/n", "a URL such as redis+sentinel://"],
  ["redis+sentinel://a:x,b/n", "a URL such as redis+sentinel://"],
  ["redis+sentinel://a/n?db=2", "no parameters but sentinel_username and sentinel_password"],
  ["redis+sentinel://:50%@a/n", "written %25"],
  [`redis+sentinel://${"a,".repeat(16)}a/n`, "at most 16 hosts"],
])("%s is refused", (url, expected) => {
  expect(() => parseSentinelUrl(url)).toThrow(expected);
});

test.each([
  ["redis+cluster://a,b:5,[::1]", ["a:6379", "b:5", "[::1]:6379"], "redis://c:7"],
  ["rediss+cluster://u:p%40%2Fw@a", ["a:6379"], "rediss://u:p%40%2Fw@c:7"],
  ["redis+cluster://:p@a/", ["a:6379"], "redis://:p@c:7"],
])("%s", (url, seeds, one) => {
  const cluster = parseClusterUrl(url);
  expect([...cluster.seeds]).toEqual(seeds);
  expect(cluster.urlOf("c:7")).toBe(one);
});

test.each([
  ["redis+cluster://a,b/0", "nothing after the hosts"],
  ["redis+cluster://a?db=1", "nothing after the hosts"],
  ["redis+cluster://", "a URL such as redis+cluster://"],
  ["redis+cluster://a,:7", "a URL such as redis+cluster://"],
])("%s is refused", (url, expected) => {
  expect(() => parseClusterUrl(url)).toThrow(expected);
});
