/** The reference application as its users and their programs meet it: the compiled binary behind its balancer, on both kinds of stores. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";

import { type Cluster, cluster } from "../harness/cluster.ts";
import { eventually } from "../harness/eventually.ts";
import { createDatabase } from "../harness/postgres.ts";
import { runScale, startScale } from "../harness/process.ts";
import { freshNamespace, sharedRedis } from "../harness/redis.ts";
import { startMailServer } from "../harness/smtp.ts";
import { type Answer, Visitor } from "../harness/visitor.ts";

interface Account {
  readonly id: string;
  readonly name: string;
  readonly email: string;
}
interface Post {
  readonly id: string;
  readonly title: string;
  readonly content: string;
  readonly views: number;
  readonly author: { readonly id: string; readonly name: string; readonly avatar: string | null };
}
interface Refused {
  readonly error: {
    readonly code: string;
    readonly message: string;
    readonly fields?: { readonly [name: string]: string };
  };
}

setDefaultTimeout(60_000); // Bun keeps the one set in a preload for the first file only

const password = "correct horse battery";
let people = 0;

const newAddress = () => `person${++people}@example.org`;

/** A new visitor with an account, signed in. */
async function member(url: string, name = "Ada Lovelace"): Promise<{ visitor: Visitor; account: Account }> {
  const visitor = new Visitor(url);
  const { status, body } = await visitor.post<Account>("/signup", { name, email: newAddress(), password });
  expect(status).toBe(201);
  return { visitor, account: body };
}

async function written(visitor: Visitor, title: string, content = "Words."): Promise<Post> {
  const { status, body } = await visitor.post<Post>("/posts", { title, content });
  expect(status).toBe(201);
  return body;
}

const refusal = ({ status, body }: Answer<Refused>) => [status, body.error.code, Object.keys(body.error.fields ?? {})];

describe.each(["real", "embedded"] as const)("demo/social on %s stores", (stores) => {
  let system: Cluster;
  beforeAll(async () => {
    system = await cluster({ stores });
  });
  afterAll(() => system[Symbol.asyncDispose]());

  describe("accounts", () => {
    test("who signs up is signed in on every application, and no answer holds the password or its hash", async () => {
      const { visitor, account } = await member(system.url, "  Ada Lovelace ");
      expect(account).toMatchObject({ id: expect.stringMatching(/^\d+$/), name: "Ada Lovelace", avatar: null });
      const answers = await Promise.all(Array.from({ length: 8 }, () => visitor.get<Account>("/me")));
      expect(new Set(answers.map(({ headers }) => headers.get("x-served-by")))).toEqual(new Set(["app-1", "app-2"]));
      for (const { status, text } of answers) {
        expect([status, JSON.parse(text)]).toEqual([200, account]);
        expect(text).not.toMatch(/password|argon2/);
      }
      expect((await visitor.get(`/users/${account.id}`)).text).not.toMatch(/password|argon2|example\.org/);
    });

    test("the welcome mail and the recommendations arrive", async () => {
      const author = await member(system.url, "Grace Hopper");
      await written(author.visitor, "A bug in a relay");
      const { visitor, account } = await member(system.url, "Edsger");
      const mails = await eventually(async () => {
        const { body } = await visitor.get<{ subject: string; body: string }[]>("/me/mails");
        return body.length > 0 ? body : undefined;
      });
      expect(mails).toMatchObject([{ subject: "Welcome, Edsger", sent_at: null }]);
      const { people: suggested } = await eventually(async () => {
        const { body } = await visitor.get<{ calculated_at: string | null; people: Account[] }>("/me/recommendations");
        return body.calculated_at === null ? undefined : body;
      });
      expect(suggested.map(({ name }) => name)).toContain("Grace Hopper");
      expect(suggested.map(({ id }) => id)).not.toContain(account.id);
    });

    test("what is wrong with a sign-up is one 422 that names each field", async () => {
      const visitor = new Visitor(system.url);
      const cases: [unknown, string[]][] = [
        [{}, ["name", "email", "password"]],
        [{ name: " ", email: "nobody", password: "short" }, ["name", "email", "password"]],
        [{ name: "A\nB", email: "a@b", password: "x".repeat(129) }, ["name", "email", "password"]],
        [{ name: 7, email: null, password }, ["name", "email"]],
        [{ name: "A", email: "a b@example.org", password }, ["email"]],
        [{ name: "\ud800", email: `${"a".repeat(250)}@example.org`, password }, ["name", "email"]],
        [{ name: "A", email: newAddress(), password, admin: true }, ["admin"]],
        [[], []],
      ];
      for (const [body, fields] of cases) {
        expect(refusal(await visitor.post("/signup", body))).toEqual([422, "invalid", fields]);
      }
      expect(refusal(await visitor.post("/signup", "{"))).toEqual([400, "malformed", []]);
    });

    test("an e-mail has one account, however it is written", async () => {
      const { account } = await member(system.url);
      const again = { name: "Another", email: ` ${account.email.toUpperCase()}`, password };
      expect(refusal(await new Visitor(system.url).post("/signup", again))).toEqual([409, "email_taken", ["email"]]);
    });

    test("logging in asks for e-mail and password, logging out ends the session", async () => {
      const { visitor, account } = await member(system.url);
      expect((await visitor.post("/logout")).status).toBe(204);
      expect(refusal(await visitor.get("/me"))).toEqual([401, "not_signed_in", []]);
      expect(refusal(await visitor.post("/login", { email: account.email, password: "" }))).toEqual([
        422,
        "invalid",
        ["password"],
      ]);
      const back = await visitor.post("/login", { email: account.email.toUpperCase(), password });
      expect([back.status, back.body]).toEqual([200, account]);
      expect((await visitor.get("/me")).body).toEqual(account);
    });

    test("a user sees where they are logged in, and ends it there; nobody else can", async () => {
      const { visitor, account } = await member(system.url);
      const [elsewhere, stranger] = [new Visitor(system.url), (await member(system.url)).visitor];
      await elsewhere.post("/login", { email: account.email, password });
      const devices = async () => (await visitor.get<{ id: string; isCurrent: boolean }[]>("/me/devices")).body;
      const other = (await devices()).find(({ isCurrent }) => !isCurrent)!;
      expect(await devices()).toHaveLength(2);
      expect(refusal(await new Visitor(system.url).get("/me/devices"))).toEqual([401, "not_signed_in", []]);
      expect(refusal(await stranger.ask("DELETE", `/me/devices/${other.id}`))).toEqual([404, "not_found", []]);
      expect((await elsewhere.get("/me")).status).toBe(200);
      expect((await visitor.ask("DELETE", `/me/devices/${other.id}`)).status).toBe(204);
      expect((await elsewhere.get("/me")).status).toBe(401);
      await elsewhere.post("/login", { email: account.email, password });
      expect((await visitor.ask("DELETE", "/me/devices")).status).toBe(204);
      expect([(await elsewhere.get("/me")).status, (await visitor.get("/me")).status]).toEqual([401, 200]);
    });

    test("an unknown e-mail and a wrong password get the same answer after the same time", async () => {
      const { account } = await member(system.url);
      const visitor = new Visitor(system.url);
      const tries = { wrong: account.email, unknown: newAddress() };
      const times = { wrong: Infinity, unknown: Infinity };
      const texts = new Set<string>();
      for (let round = 0; round < 3; round++) {
        for (const kind of ["wrong", "unknown"] as const) {
          const start = performance.now();
          const { status, text } = await visitor.post("/login", { email: tries[kind], password: "not this one" });
          times[kind] = Math.min(times[kind], performance.now() - start);
          expect(status).toBe(401);
          texts.add(text);
        }
      }
      expect(texts.size).toBe(1);
      expect(times.unknown).toBeGreaterThan(times.wrong / 2);
    });
  });

  describe("posts", () => {
    test("a post is in every list that should show it, with its author", async () => {
      const { visitor, account } = await member(system.url, "Alan Kay");
      const post = await written(visitor, "  Hello, world ", "one\n\ntwo <b>three</b>");
      const author = { id: account.id, name: "Alan Kay", avatar: null };
      expect(post).toMatchObject({ title: "Hello, world", content: "one\n\ntwo <b>three</b>", views: 0, author });
      const anyone = new Visitor(system.url);
      expect((await anyone.get<Post[]>("/posts")).body[0]).toMatchObject({ id: post.id, title: post.title, author });
      expect((await anyone.get<Post[]>(`/users/${account.id}/posts`)).body).toMatchObject([{ id: post.id }]);
      expect((await anyone.get<Post>(`/posts/${post.id}`)).body).toMatchObject({ content: post.content, author });
      expect((await anyone.get(`/users/${account.id}`)).body).toMatchObject(author);
    });

    test("the feed is the newest hundred, newest first", async () => {
      const { visitor } = await member(system.url);
      const ids: string[] = [];
      for (let n = 0; n < 3; n++) ids.unshift((await written(visitor, `Number ${n}`)).id);
      const { body } = await visitor.get<Post[]>("/posts");
      expect(body.slice(0, 3).map(({ id }) => id)).toEqual(ids);
      expect(body.length).toBeLessThanOrEqual(100);
    });

    test("a change is seen at once wherever the post was cached", async () => {
      const { visitor, account } = await member(system.url);
      const post = await written(visitor, "Before");
      const places = [`/posts/${post.id}`, `/users/${account.id}/posts`, "/posts/popular", "/posts"];
      for (const place of places) expect((await visitor.get(place)).text).toContain(`"${post.id}"`);
      const changed = await visitor.put<Post>(`/posts/${post.id}`, { title: "After the change", content: "New." });
      expect([changed.status, changed.body.title, changed.body.author.id]).toEqual([
        200,
        "After the change",
        account.id,
      ]);
      for (const place of places) {
        for (let app = 0; app < 2; app++) expect((await visitor.get(place)).text).toContain("After the change");
      }
    });

    test("only its author changes a post; writing needs a session", async () => {
      const { visitor } = await member(system.url);
      const post = await written(visitor, "Mine");
      const change = { title: "Yours", content: "Now." };
      const other = await member(system.url, "Somebody Else");
      expect(refusal(await other.visitor.put(`/posts/${post.id}`, change))).toEqual([403, "not_yours", []]);
      const nobody = new Visitor(system.url);
      expect(refusal(await nobody.put(`/posts/${post.id}`, change))).toEqual([401, "not_signed_in", []]);
      expect(refusal(await nobody.post("/posts", change))).toEqual([401, "not_signed_in", []]);
      expect((await nobody.get<Post>(`/posts/${post.id}`)).body.title).toBe("Mine");
    });

    test("what is wrong with a post is a 422 that names the field", async () => {
      const { visitor } = await member(system.url);
      const post = (body: unknown) => visitor.post<Refused>("/posts", body);
      expect(refusal(await post({ title: "", content: " \n " }))).toEqual([422, "invalid", ["title", "content"]]);
      expect(refusal(await post({ title: "x".repeat(121), content: "y".repeat(2001) }))).toEqual([
        422,
        "invalid",
        ["title", "content"],
      ]);
      expect(refusal(await post({ title: "A", content: "nul \0" }))).toEqual([422, "invalid", ["content"]]);
      expect((await post({ title: "x".repeat(120), content: "y".repeat(2000) })).status).toBe(201);
    });

    test("an id that names nothing is 404, whether it could exist or not", async () => {
      const { visitor } = await member(system.url);
      for (const id of [
        "0",
        "-1",
        "1e3",
        "007",
        "abc",
        "%00",
        "9223372036854775807",
        "9223372036854775808",
        "1".repeat(500),
      ]) {
        for (const path of [`/posts/${id}`, `/users/${id}`, `/users/${id}/posts`]) {
          expect([path, ...refusal(await visitor.get(path))]).toEqual([path, 404, "not_found", []]);
        }
        expect(refusal(await visitor.put(`/posts/${id}`, { title: "A", content: "B" }))).toEqual([
          404,
          "not_found",
          [],
        ]);
      }
    });

    test("popular is the twenty most viewed, and caches on the way may keep it", async () => {
      const { status, headers, body } = await new Visitor(system.url).get<Post[]>("/posts/popular");
      expect([status, headers.get("cache-control")]).toEqual([200, "public, max-age=300"]);
      expect(headers.has("set-cookie")).toBe(false);
      expect(body.length).toBeLessThanOrEqual(20);
      const views = body.map((post) => post.views);
      expect(views).toEqual(views.toSorted((a, b) => b - a));
    });

    test("views are counted, by both applications together", async () => {
      const { visitor } = await member(system.url);
      const post = await written(visitor, "Worth reading");
      await Promise.all(Array.from({ length: 6 }, () => visitor.get(`/posts/${post.id}`)));
      await eventually(async () => {
        const { body } = await visitor.get<Post[]>("/posts");
        return body.find(({ id }) => id === post.id)?.views === 6;
      });
    });

    test("posts_created_total counts what was written", async () => {
      const total = async () => {
        const pages = await Promise.all(
          system.apps.map(async ({ adminUrl }) => (await fetch(`${adminUrl}/metrics`)).text()),
        );
        const samples = pages.map((page) => Number(/^posts_created_total (\d+)$/m.exec(page)?.[1] ?? 0));
        return samples.reduce((sum, each) => sum + each, 0);
      };
      const { visitor } = await member(system.url);
      const before = await total();
      for (let n = 0; n < 4; n++) await written(visitor, `Post ${n}`);
      expect(await total()).toBe(before + 4);
    });
  });

  test("a path without the asked method is 405 and says which there are", async () => {
    const visitor = new Visitor(system.url);
    const wrong = await visitor.get<Refused>("/login");
    expect([...refusal(wrong), wrong.headers.get("allow")]).toEqual([405, "method_not_allowed", [], "POST, OPTIONS"]);
    const deleted = await visitor.ask("DELETE", "/posts/1");
    expect([deleted.status, deleted.headers.get("allow")]).toEqual([405, "GET, PUT, HEAD, OPTIONS"]);
    expect(refusal(await visitor.get("/nowhere"))).toEqual([404, "not_found", []]);
  });

  test("the page names its files by their content: they may be kept for ever, it is asked for again each time", async () => {
    const visitor = new Visitor(system.url);
    const page = await visitor.get("/");
    expect([page.status, page.headers.get("content-type")]).toEqual([200, "text/html;charset=utf-8"]);
    expect(page.headers.get("cache-control")).toBe("no-cache");
    const files = [...page.text.matchAll(/(?:src|href)="(\/[^"]+)"/g)].map(([, path]) => path!);
    expect(new Set(files.map((path) => path.split(".").pop()))).toEqual(new Set(["css", "js", "svg"]));
    for (const path of ["/", ...files]) {
      const file = await visitor.get(path);
      expect([file.status, file.headers.get("etag")]).toEqual([200, expect.stringMatching(/^"\w+"$/)]);
      if (path !== "/") expect(file.headers.get("cache-control")).toBe("public, max-age=31536000, immutable");
      const again = await visitor.ask("GET", path, undefined, { "if-none-match": file.headers.get("etag") ?? "" });
      expect([again.status, again.text]).toEqual([304, ""]);
    }
  });

  // Last: afterwards this address has no sign-ups and log-ins left for a while.
  test("log-ins are limited by account and by address", async () => {
    const { account } = await member(system.url);
    const visitor = new Visitor(system.url);
    const failUntilLimited = async (email: () => string) => {
      for (let tries = 0; tries <= 40; tries++) {
        const { status, headers } = await visitor.post("/login", { email: email(), password: "not this one" });
        if (status === 429) return { tries, wait: Number(headers.get("retry-after")) };
        expect(status).toBe(401);
      }
      throw new Error("never limited");
    };
    const byAccount = await failUntilLimited(() => account.email);
    expect(byAccount.tries).toBeLessThanOrEqual(12);
    expect(byAccount.wait).toBeGreaterThan(0);
    expect((await visitor.post("/login", { email: account.email, password })).status).toBe(429);
    expect((await failUntilLimited(newAddress)).tries).toBeGreaterThan(0);
  });

  test("sign-ups are limited by address", async () => {
    const { account } = await member(system.url);
    const again = { name: "Again", email: account.email, password };
    const tries = Array.from({ length: 61 }, () => new Visitor(system.url).post("/signup", again));
    const answers = await Promise.all(tries);
    const limited = answers.filter(({ status }) => status === 429);
    expect(limited.length).toBeGreaterThan(0);
    expect(Number(limited[0]!.headers.get("retry-after"))).toBeGreaterThan(0);
    expect(answers.filter(({ status }) => ![409, 429, 503].includes(status))).toEqual([]);
  });
});

test("with SMTP_URL the welcome mail goes out, once", async () => {
  await using server = await startMailServer();
  const env = {
    DATABASE_URL: await createDatabase(),
    REDIS_URL: (await sharedRedis()).url,
    SCALE_NAMESPACE: freshNamespace(),
    SMTP_URL: server.url,
  };
  expect((await runScale(["migrate"], { env })).code).toBe(0);
  await using running = new AsyncDisposableStack();
  const app = running.use(await startScale(["--role=app", "--drain-delay=0"], { env }));
  running.use(await startScale(["--role=worker"], { env }));
  const { visitor, account } = await member(app.url, "Zoë 李");
  const sent = await eventually(async () => {
    const [mail] = (await visitor.get<{ sent_at: string | null }[]>("/me/mails")).body;
    return mail !== undefined && mail.sent_at !== null;
  });
  expect(sent).toBe(true);
  expect(server.mails).toHaveLength(1);
  expect(server.mails[0]).toContain(`To: ${account.email}`);
  expect(server.mails[0]).toContain(`Message-ID: <welcome-${account.id}@127.0.0.1>`);
});
