// The whole way through: a person's requests through balancer, applications and worker of the compiled binary, on real stores and on
// the embedded ones; and what the loss of a process costs. What each part does in detail is in the files named after them.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";

import { type Cluster, cluster } from "../harness/cluster.ts";
import { eventually } from "../harness/eventually.ts";
import { type Load, load } from "../harness/load.ts";
import { metric } from "../harness/metrics.ts";
import { Visitor } from "../harness/visitor.ts";

setDefaultTimeout(60_000);

interface Account {
  readonly id: string;
}
interface Post {
  readonly id: string;
  readonly title: string;
  readonly author: { readonly name: string };
}

const password = "correct horse battery";
const [heavy, light] = [3, 1];

describe.each(["real", "embedded"] as const)("on %s stores", (stores) => {
  let system: Cluster;
  beforeAll(async () => {
    system = await cluster({ stores, weights: [heavy, light] });
  });
  afterAll(() => system[Symbol.asyncDispose]());

  test("a person signs up, logs in, posts and is read by somebody else; the mail is the worker's", async () => {
    const ada = new Visitor(system.url);
    const someone = { name: "Ada Lovelace", email: "ada@example.org", password };
    expect((await ada.post("/signup", someone)).status).toBe(201);
    expect((await ada.post("/logout")).status).toBeLessThan(300);
    expect((await ada.get("/me")).status).toBe(401);
    expect((await ada.post("/login", { email: someone.email, password })).status).toBe(200);
    const written = await ada.post<Post>("/posts", { title: "On the engine", content: "It weaves algebra." });
    expect(written.status).toBe(201);

    const feed = await new Visitor(system.url).get<Post[]>("/posts");
    expect(feed.status).toBe(200);
    const found = feed.body.find((post) => post.id === written.body.id);
    expect(found).toMatchObject({ title: "On the engine", author: { name: "Ada Lovelace" } });

    const [worker] = system.workers;
    const done = (job: string) => metric(worker!.adminUrl, "jobs_processed_total", { job, result: "completed" });
    await eventually(async () => (await done("send_welcome_email")) === 1, { what: "the welcome mail" });
    await eventually(async () => (await done("calculate_friend_recommendations")) === 1, { what: "recommendations" });
  });

  test("a session is as good at one application as at the other", async () => {
    const grace = new Visitor(system.url);
    const { body } = await grace.post<Account>("/signup", { name: "Grace", email: "grace@example.org", password });
    const answeredBy = new Set<string | null>();
    for (let asked = 0; asked < heavy + light; asked++) {
      const me = await grace.get<Account>("/me");
      expect([me.status, me.body.id]).toEqual([200, body.id]);
      answeredBy.add(me.headers.get("x-served-by"));
    }
    expect(answeredBy).toEqual(new Set(["app-1", "app-2"]));
  });

  test("weights of 3 and 1 share requests 3:1, exactly, one at a time and many at once", async () => {
    const rounds = 25;
    const one = async () => (await fetch(`${system.url}/posts/popular`)).headers.get("x-served-by") ?? "";
    const total = rounds * (heavy + light);
    const exactly = { "app-1": rounds * heavy, "app-2": rounds * light };
    const inTurn: string[] = [];
    while (inTurn.length < total) inTurn.push(await one());
    expect(counted(inTurn)).toEqual(exactly);
    expect(counted(await Promise.all(Array.from({ length: total }, one)))).toEqual(exactly);
  });

  test("kill -9 of an application under load: once the checks know, no request fails; it serves again when it is back", async () => {
    await using visits = load(`${system.url}/posts/popular`);
    await served(visits, "app-1", 20);
    const target = new URL(system.apps[0]!.url).host;
    system.apps[0]!.kill("SIGKILL");
    await eventually(async () => (await metric(system.lb.adminUrl, "lb_target_healthy", { target })) === 0);
    const noticed = performance.now();
    await served(visits, "app-2", 200);
    await system.restartApp(0);
    await served(visits, "app-1", 200);
    await visits.stop();
    expect(visits.failures(noticed)).toEqual({});
  });

  test("an application restarted in order under load fails no request at all", async () => {
    await using visits = load(`${system.url}/posts/popular`);
    await served(visits, "app-2", 20);
    const [, second] = system.apps;
    expect(await second!.stop()).toBe(0);
    await system.restartApp(1);
    await served(visits, "app-2", 50);
    await visits.stop();
    expect(visits.failures()).toEqual({});
  });
});

/** Waits until `app` has answered `more` requests from now on. */
async function served(visits: Load, app: string, more: number): Promise<void> {
  const before = visits.servedBy.get(app) ?? 0;
  await eventually(() => (visits.servedBy.get(app) ?? 0) >= before + more, {
    what: `${more} more answers of ${app}`,
    timeout: 20_000,
  });
}

function counted(names: readonly string[]): { readonly [name: string]: number } {
  return Object.fromEntries(names.toSorted().map((name, _, all) => [name, all.filter((one) => one === name).length]));
}
