/** What a process keeps of Redis' values: told of every change, on a server that is killed, flushed, frozen, and that cuts either connection. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";

import type { Kv } from "../../src/store/kv/kv.ts";
import type { Local } from "../../src/store/kv/local.ts";
import { openKv } from "../../src/store/kv/open.ts";
import { eventually } from "../harness/eventually.ts";
import { freshNamespace, type RedisServer, startRedis } from "../harness/redis.ts";
import { temporaryDirectory } from "../harness/temporary.ts";

setDefaultTimeout(60_000);

const minute = 60_000;
let redis: RedisServer;
beforeAll(async () => void (redis = await startRedis()));
afterAll(() => redis.remove());

interface Pair extends AsyncDisposable {
  readonly namespace: string;
  /** Two processes' ways to the same keys. */
  readonly own: Kv;
  readonly other: Kv;
  readonly local: Local;
}

async function pair(localBytesMax?: number): Promise<Pair> {
  const namespace = freshNamespace();
  const own = openKv(redis.url, { namespace, ...(localBytesMax === undefined ? {} : { localBytesMax }) });
  const other = openKv(redis.url, { namespace });
  const local = own.local();
  if (typeof local === "string") throw new Error(local);
  await other.set("warm", "w", minute);
  await untilKept(local, "warm");
  return {
    namespace,
    own,
    other,
    local,
    [Symbol.asyncDispose]: async () => {
      await own.close();
      await other.close();
    },
  };
}

function untilKept(local: Local, key: string): Promise<unknown> {
  return eventually(async () => (await local.read([key])) && local.peek(key, minute) !== undefined, {
    what: `${key} being kept`,
  });
}

describe("a value that was read", () => {
  test("is kept, no longer than asked for, and one that is not there is not", async () => {
    await using both = await pair();
    const { local, other } = both;
    await other.set("a", "1", minute);
    expect(await local.read(["a", "none"])).toEqual(["1", null]);
    expect([local.peek("a", minute), local.peek("none", minute)]).toEqual(["1", undefined]);
    await eventually(() => local.peek("a", 5) === undefined);
    expect(local.peek("a", minute)).toBe("1");
  });

  test.each<[string, (kv: Kv) => Promise<unknown>]>([
    ["set", (kv) => kv.set("a", "2", minute)],
    ["replaced", (kv) => kv.replace("a", "2", minute)],
    ["deleted", (kv) => kv.delete(["a"])],
    ["counted up", (kv) => kv.increment("a", minute)],
    ["settled", async (kv) => kv.settle("a", (await kv.claim("a", minute))!, "2", minute)],
  ])("is forgotten once it is %s, here at once and elsewhere when word comes", async (_, change) => {
    await using both = await pair();
    const { local, own, other } = both;
    for (const [by, kv] of Object.entries({ own, other })) {
      await other.set("a", "1", minute);
      await untilKept(local, "a");
      await change(kv);
      if (by === "own") expect(local.peek("a", minute)).toBeUndefined();
      else await eventually(() => local.peek("a", minute) === undefined);
    }
  });

  test("is forgotten when it expires, and when everything is flushed", async () => {
    await using both = await pair();
    const { local, other } = both;
    await eventually(async () => {
      await other.set("brief", "1", 300);
      await local.read(["brief"]);
      return local.peek("brief", minute) !== undefined;
    });
    await eventually(() => local.peek("brief", minute) === undefined);
    await other.set("a", "1", minute);
    await untilKept(local, "a");
    const client = redis.client();
    await client.flushall();
    client.disconnect();
    await eventually(() => local.peek("a", minute) === undefined);
  });

  test("goes when there is no room for it", async () => {
    await using both = await pair(6_000);
    const { local, other } = both;
    for (let n = 0; n < 10; n++) await other.set(`k${n}`, "x".repeat(500), minute);
    for (let n = 0; n < 10; n++) await local.read([`k${n}`]);
    const kept = Array.from({ length: 10 }, (_, n) => n).filter((n) => local.peek(`k${n}`, minute) !== undefined);
    expect(kept).toEqual([6, 7, 8, 9]);
  });
});

describe("nothing is kept", () => {
  test.each(["local", "invalidations"])("once the connection %s is cut, until both work again", async (which) => {
    await using both = await pair();
    const { local, other, namespace } = both;
    await other.set("a", "1", minute);
    await untilKept(local, "a");
    const client = redis.client();
    const list = String(await client.client("LIST"));
    const id = list
      .split("\n")
      .find((line) => line.includes(`name=${namespace}-${which} `))!
      .match(/id=(\d+)/)![1]!;
    await client.client("KILL", "ID", id);
    await eventually(() => local.peek("a", minute) === undefined);
    await untilKept(local, "a");
    await client.set(`{${namespace}:a}`, "2");
    await eventually(() => local.peek("a", minute) === undefined);
    client.disconnect();
  });

  test("while the server is away, nor what was kept before", async () => {
    await using both = await pair();
    const { local, other } = both;
    await other.set("a", "1", minute);
    await untilKept(local, "a");
    await redis.kill();
    await eventually(() => local.peek("a", minute) === undefined);
    await redis.start();
    // It is refused until its connection is back, too.
    await eventually(() => other.set("a", "2", minute));
    await untilKept(local, "a");
    expect(local.peek("a", minute)).toBe("2");
  });

  test("once the server hangs: what it might say does not arrive", async () => {
    await using both = await pair();
    const { local, other } = both;
    await other.set("a", "1", minute);
    await untilKept(local, "a");
    process.kill(redis.pid(), "SIGSTOP");
    try {
      await eventually(() => local.peek("a", minute) === undefined, { what: "two probes' time" });
    } finally {
      process.kill(redis.pid(), "SIGCONT");
    }
    await untilKept(local, "a");
  });
});

test("a read that a change overtakes is not kept, however the two arrive", async () => {
  await using both = await pair();
  const { local, own, other } = both;
  for (let n = 0; n < 300; n++) {
    const [writer, isOwn] = n % 2 === 0 ? [own, true] : [other, false];
    await Promise.all([local.read(["raced"]), writer.set("raced", String(n), minute), local.read(["raced"])]);
    if (isOwn) expect([undefined, String(n)]).toContain(local.peek("raced", minute));
    else await eventually(() => [undefined, String(n)].includes(local.peek("raced", minute)));
  }
});

test.each([
  ["redis+cluster://127.0.0.1:1", "in a Cluster every server tells only of its own keys"],
  [`file:${temporaryDirectory("local")}/kv.sqlite`, "a file does not tell"],
])("%s says why it keeps nothing", async (url, reason) => {
  const kv = openKv(url, { namespace: "n" });
  expect(kv.local()).toContain(reason);
  await kv.close();
});
