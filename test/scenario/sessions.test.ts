/** Sessions in production: two applications share them, their store dies and comes back, ids change under a browser's hands. */
import { Database } from "bun:sqlite";
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";

import { eventually } from "../harness/eventually.ts";
import { currentScope } from "../harness/leaks.ts";
import { type ScaleProcess, startScale } from "../harness/process.ts";
import { freshNamespace, sharedRedis, startRedis } from "../harness/redis.ts";
import { Visitor } from "../harness/visitor.ts";

setDefaultTimeout(60_000);

const entry = `${import.meta.dir}/fixtures/sessions.ts`;
const unavailable = [/failed: (Redis|SQLite)/, /store kv/];

interface Who {
  readonly user: string | null;
  readonly cart: string | null;
}

/** Nothing that needs the session is answered, nothing becomes of the cookie, and what does not need it is served. */
async function meetsAnAbsentStore(app: ScaleProcess, visitor: Visitor): Promise<void> {
  const asks = [
    ["GET", "/who"],
    ["POST", "/cart"],
    ["POST", "/login/2"],
    ["POST", "/logout"],
    ["POST", "/renew"],
    ["GET", "/devices"],
    ["GET", "/token"],
  ] as const;
  for (const someone of [visitor, new Visitor(app.url)]) {
    expect(await someone.get("/open")).toMatchObject({ status: 200 });
  }
  for (const [method, path] of asks) {
    const answer = await visitor.ask(method, path, method === "POST" ? "pen" : undefined);
    expect([path, answer.status, answer.headers.get("retry-after"), answer.headers.get("set-cookie")]).toEqual([
      path,
      503,
      "1",
      null,
    ]);
  }
  for (const path of ["/cart", "/login/2"]) {
    const answer = await new Visitor(app.url).post(path, "pen");
    expect([path, answer.status, answer.headers.get("set-cookie")]).toEqual([path, 503, null]);
  }
}

test("with Redis gone a session is neither there nor begun: 503 where one is needed; with Redis back the cookie of before goes on", async () => {
  const redis = await startRedis({ appendonly: "yes", appendfsync: "always" });
  try {
    const env = { REDIS_URL: redis.url };
    await using app = await startScale(["--role=app", entry, "--drain-delay=0"], { env, expectErrors: unavailable });
    const visitor = new Visitor(app.url);
    await visitor.post("/login/1");
    await visitor.post("/cart", "book");
    for (let round = 0; round < 2; round++) {
      await redis.kill();
      await meetsAnAbsentStore(app, visitor);
      await redis.start();
      await eventually(async () => (await visitor.get("/who")).status === 200, { what: "sessions being read again" });
      expect((await visitor.get<Who>("/who")).body).toEqual({ user: "1", cart: "book" });
    }
    expect((await visitor.post("/cart", "pen")).status).toBe(200);
    expect((await visitor.get<Who>("/who")).body).toEqual({ user: "1", cart: "pen" });
  } finally {
    await redis.remove();
  }
});

test("while Redis dies again and again under browsers whose ids change, each is its user or is told to come back, never a stranger", async () => {
  const redis = await startRedis({ appendonly: "yes", appendfsync: "always" });
  try {
    const start = () =>
      startScale(["--role=app", entry, "--session-rotation=1s", "--drain-delay=0"], {
        env: { REDIS_URL: redis.url },
        expectErrors: unavailable,
      });
    await using one = await start();
    await using other = await start();
    const apps = [one, other];
    const users = ["1", "2", "3", "4"];
    const browsers = await Promise.all(users.map((user) => signIn(one, user)));
    const first = browsers.map(({ id }) => id);
    const counts = { answered: 0, refused: 0 };
    let isOver = false;
    const use = async (browser: Cookies, user: string | undefined) => {
      while (!isOver) {
        const asked = [0, 1, 2, 3].map((index) => browser.get(apps[index % 2]!, "/who"));
        for (const answer of await Promise.all(asked)) {
          const who: unknown = await answer.json();
          if (answer.status === 200) expect(who).toMatchObject({ user });
          else expect([answer.status, answer.headers.get("set-cookie")]).toEqual([503, null]);
          counts[answer.status === 200 ? "answered" : "refused"]++;
        }
      }
    };
    const using = Promise.all(browsers.map((browser, index) => use(browser, users[index])));
    try {
      for (let round = 0; round < 3; round++) {
        const { answered, refused } = { ...counts };
        await eventually(() => counts.answered > answered + 100);
        await redis.kill();
        await eventually(() => counts.refused > refused + 10);
        await redis.start();
      }
      await eventually(() => browsers.every(({ id }, index) => id !== first[index]), { what: "another id for each" });
    } finally {
      isOver = true;
      await using;
    }
  } finally {
    await redis.remove();
  }
});

test("with its SQLite file locked a session is not begun, and the cookie of before goes on meanwhile and after", async () => {
  const flags = ["--role=app", entry, "--redis-url=file:kv.sqlite", "--drain-delay=0"];
  await using app = await startScale(flags, { expectErrors: unavailable });
  const visitor = new Visitor(app.url);
  await visitor.post("/login/1");
  const database = new Database(join(app.cwd, "kv.sqlite"));
  database.run("BEGIN IMMEDIATE");
  try {
    const answers = [await visitor.post("/cart", "book"), await new Visitor(app.url).post("/login/2")];
    for (const { status, headers } of answers)
      expect([status, headers.get("retry-after"), headers.get("set-cookie")]).toEqual([503, "1", null]);
    expect((await visitor.get<Who>("/who")).body).toEqual({ user: "1", cart: null });
  } finally {
    database.run("ROLLBACK");
    database.close();
  }
  expect((await visitor.post("/cart", "book")).status).toBe(200);
  expect((await visitor.get<Who>("/who")).body).toEqual({ user: "1", cart: "book" });
});

describe("two applications on one store", () => {
  let apps: ScaleProcess[] = [];
  beforeAll(async () => {
    const scope = currentScope();
    const env = { REDIS_URL: (await sharedRedis()).url, SCALE_NAMESPACE: freshNamespace() };
    const start = () => startScale(["--role=app", entry, "--session-rotation=1s", "--drain-delay=0"], { env, scope });
    apps = await Promise.all([start(), start()]);
  });
  afterAll(async () => {
    for (const app of apps) await app.stop();
  });

  test("answer a browser that asks both at a time with an id that changes, and never sign it out", async () => {
    const cookies = await signIn(apps[0]!, "1");
    const before = cookies.id;
    await eventually(
      async () => {
        const asked = Array.from({ length: 8 }, (_, index) => cookies.get(apps[index % 2]!, "/who"));
        for (const answer of await Promise.all(asked)) expect(await answer.json()).toMatchObject({ user: "1" });
        return cookies.id !== before;
      },
      { what: "another id" },
    );
  });

  test("no shared cache may store an answer that hands out an id", async () => {
    const cookies = await signIn(apps[0]!, "2");
    await eventually(async () => {
      const { headers } = await cookies.get(apps[1]!, "/popular");
      const handsOut = headers.has("set-cookie");
      expect(headers.get("cache-control")).toBe(handsOut ? "private, no-cache" : "public, max-age=300");
      return handsOut;
    });
  });

  test("show a user the same places, and a place signed out through one is signed out in the other at once", async () => {
    const [here, there] = [await signIn(apps[0]!, "3"), await signIn(apps[1]!, "3", "Phone")];
    const shown = (await (await here.get(apps[0]!, "/devices")).json()) as { userAgent: string; isCurrent: boolean }[];
    const inOrder = shown.toSorted((one, other) => one.userAgent.localeCompare(other.userAgent));
    expect(inOrder).toMatchObject([
      { userAgent: "Laptop", isCurrent: true, ip: "127.0.0.1" },
      { userAgent: "Phone", isCurrent: false },
    ]);
    await here.get(apps[0]!, "/devices", "DELETE");
    expect(await (await there.get(apps[1]!, "/who")).json()).toMatchObject({ user: null });
    expect(await (await here.get(apps[1]!, "/who")).json()).toMatchObject({ user: "3" });
  });

  test("take a form with a token that the other gave, and refuse one without", async () => {
    const [cookies, stranger] = [new Cookies(), new Cookies()];
    const token = (await (await cookies.get(apps[0]!, "/token")).json()) as string;
    const send = (one: Cookies, value: string) =>
      one.get(apps[1]!, "/form", "POST", new URLSearchParams({ token: value }));
    expect((await send(cookies, token)).status).toBe(200);
    for (const refused of [await send(cookies, ""), await send(stranger, token)])
      expect([refused.status, await refused.json()]).toMatchObject([403, { error: { code: "csrf_token" } }]);
  });
});

/** A browser before both applications: the cookie that came last is the one that counts. */
class Cookies {
  readonly #userAgent: string;
  id = "";

  constructor(userAgent = "Laptop") {
    this.#userAgent = userAgent;
  }

  async get(app: ScaleProcess, path: string, method = "GET", body?: URLSearchParams): Promise<Response> {
    const headers = { "user-agent": this.#userAgent, cookie: `sid=${this.id}` };
    const answer = await fetch(`${app.url}${path}`, { method, headers, ...(body ? { body } : {}) });
    for (const line of answer.headers.getSetCookie()) this.id = Bun.Cookie.parse(line).value;
    return answer;
  }
}

async function signIn(app: ScaleProcess, user: string, userAgent?: string): Promise<Cookies> {
  const cookies = new Cookies(userAgent);
  await cookies.get(app, `/login/${user}`, "POST");
  return cookies;
}
