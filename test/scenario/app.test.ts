/** Role app as a client and an operator meet it: the compiled binary, an entry on disk, no store unless a test gives one. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { eventually } from "../harness/eventually.ts";
import { runScale, type ScaleProcess, startScale } from "../harness/process.ts";

setDefaultTimeout(60_000);

const entry = `${import.meta.dir}/fixtures/entry.ts`;
const crash = /(?:crash|nothing|secret) failed|unhandled rejection/;

describe("an application without stores", () => {
  let app: ScaleProcess;
  beforeAll(async () => {
    app = await startScale(
      ["--role=app", entry, "--body-bytes-max=1KiB", "--request-timeout=300ms", "--drain-delay=0"],
      {
        expectErrors: [crash, /slow failed/, /cached failed|rows failed/],
      },
    );
  });
  afterAll(async () => void (await app.stop()));
  const get = (path: string, init: RequestInit = {}) => fetch(app.url + path, init);

  test("a path without the asked method is 405 with Allow, never the fallback; OPTIONS is 204", async () => {
    const wrong = await get("/users/7", { method: "POST" });
    expect(wrong.status).toBe(405);
    expect(wrong.headers.get("allow")).toBe("GET, DELETE, HEAD, OPTIONS");
    expect(await wrong.json()).toMatchObject({ error: { code: "method_not_allowed" } });
    const options = await get("/users/7", { method: "OPTIONS" });
    expect([options.status, options.headers.get("allow")]).toEqual([204, "GET, DELETE, HEAD, OPTIONS"]);
    expect(await (await get("/nowhere")).text()).toBe("fell through: GET /nowhere");
  });

  test("parameters are decoded, HEAD is GET without a body, a fixed response is sent each time", async () => {
    expect(await (await get("/users/a%20b")).json()).toEqual({ id: "a b" });
    const head = await get("/json", { method: "HEAD" });
    expect([head.status, await head.text()]).toEqual([200, ""]);
    for (let n = 0; n < 3; n++) expect(await (await get("/text")).text()).toBe("fixed");
  });

  test("an HttpError becomes its response; anything else tells a client nothing but the id the log has", async () => {
    const refused = await get("/refuse");
    expect([refused.status, refused.headers.get("x-pot")]).toEqual([418, "1"]);
    expect(await refused.json()).toEqual({ error: { code: "teapot", message: "teapot", spout: "short" } });
    const crashed = await get("/crash", { headers: { "x-request-id": "find-me" } });
    const body = await crashed.text();
    expect(crashed.status).toBe(500);
    expect(body).not.toContain("hunter2");
    expect(JSON.parse(body)).toMatchObject({ error: { code: "internal", request: "find-me" } });
    await eventually(() => app.log().some((line) => line.includes("find-me") && line.includes("the password is")));
  });

  test("a handler that returns nothing is a fault that names its route, not an empty answer", async () => {
    expect((await get("/nothing")).status).toBe(500);
    await eventually(() => app.log().some((line) => line.includes("the handler of /nothing returned nothing")));
  });

  test("a body that is not JSON is the client's fault, and no error of ours", async () => {
    const response = await get("/json-body", { method: "POST", body: "{bad" });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error: { code: "request_malformed" } });
    expect(await (await get("/json-body", { method: "POST", body: "[1]" })).json()).toEqual({ got: [1] });
  });

  test("neither is one that is no form", async () => {
    const headers = { "content-type": "multipart/form-data; boundary=x" };
    for (const init of [{ body: "a=1" }, { body: "--x", headers }]) {
      const response = await get("/form-body", { method: "POST", ...init });
      expect(response.status).toBe(400);
      expect(await response.json()).toMatchObject({ error: { code: "request_malformed" } });
    }
    const form = new URLSearchParams({ a: "1" });
    expect(await (await get("/form-body", { method: "POST", body: form })).json()).toEqual({ got: "1" });
  });

  test("an error's details are answered as far as JSON carries them, and never break the log", async () => {
    const response = await get("/odd-details");
    expect([response.status, await response.json()]).toEqual([
      422,
      { error: { code: 'a"b', message: "odd", id: "10" } },
    ]);
    await eventually(() => app.log().some((line) => line.includes('"route":"/odd-details"')));
    const line = app.log().find((candidate) => candidate.includes('"route":"/odd-details"'))!;
    expect(JSON.parse(line)).toMatchObject({ status: 422, error: 'a"b' });
  });

  test("a promise nobody waited for is logged and takes no other request with it", async () => {
    expect((await get("/stray")).status).toBe(200);
    await eventually(() => app.log().some((line) => line.includes("nobody waits for this")));
    expect((await get("/json")).status).toBe(200);
  });

  test("secrets do not reach the log", async () => {
    await get("/log");
    await eventually(() => app.log().some((line) => line.includes('"a line"')));
    const line = app.log().find((candidate) => candidate.includes('"a line"'))!;
    expect(line).not.toContain("hunter2");
    expect(line).not.toContain("t0ken");
    expect(line).toContain("[redacted]");
    await get("/secret");
    await eventually(() => app.log().some((candidate) => candidate.includes("/secret failed")));
    const failed = app.log().filter((candidate) => candidate.includes("/secret failed"));
    expect(failed).toHaveLength(1);
    expect(failed[0]).not.toContain("hunter2");
  });

  test("a body over the limit is 413, announced or not; one at the limit is read", async () => {
    const post = (body: string | ReadableStream) => get("/echo", { method: "POST", body });
    expect(await (await post("x".repeat(1024))).json()).toEqual({ length: 1024 });
    expect((await post("x".repeat(1025))).status).toBe(413);
    expect((await post("x".repeat(100_000))).status).toBe(413);
    const stream = new Blob(["x".repeat(5_000)]).stream();
    expect((await post(stream)).status).toBe(413);
  });

  test("a handler that takes too long is answered with 503 and its signal is aborted", async () => {
    const slow = await get("/slow?ms=2000");
    expect([slow.status, slow.headers.get("retry-after")]).toEqual([503, "1"]);
    await eventually(async () => ((await (await get("/aborted")).json()) as { aborted: number }).aborted === 1);
  });

  test("a store nobody configured is an error that names the flag, in the log", async () => {
    expect((await get("/cached")).status).toBe(500);
    expect((await get("/rows")).status).toBe(500);
    await eventually(() =>
      app.log().some((line) => line.includes("cache.get() needs") && line.includes("--redis-url")),
    );
    await eventually(() =>
      app.log().some((line) => line.includes("sql.read needs") && line.includes("--database-url")),
    );
  });

  test("every request is one access line and one count under its pattern, not its path", async () => {
    await get("/users/31337?secret=1");
    await eventually(() => app.log().some((line) => line.includes('"path":"/users/31337"')));
    const line = app.log().find((candidate) => candidate.includes('"path":"/users/31337"'))!;
    expect(JSON.parse(line)).toMatchObject({ message: "request", method: "GET", route: "/users/:id", status: 200 });
    expect(line).not.toContain("secret");
    const metrics = await (await fetch(`${app.adminUrl}/metrics`)).text();
    expect(metrics).toMatch(/http_requests_total\{method="GET",route="\/users\/:id",status="200"\} \d+/);
    expect(metrics).toContain('http_request_duration_seconds_bucket{method="GET",route="/users/:id",le="+Inf"}');
    expect(metrics).not.toContain("31337");
  });

  test("health, readiness and metrics are on the admin listener; metrics are not on the public one", async () => {
    for (const path of ["/healthz", "/readyz", "/metrics"]) {
      expect((await fetch(app.adminUrl + path)).status).toBe(200);
    }
    expect((await get("/healthz")).status).toBe(200);
    expect((await get("/readyz")).status).toBe(200);
    expect(await (await get("/metrics")).text()).toBe("fell through: GET /metrics");
  });
});

describe("the client's address and the session cookie", () => {
  const withKv = (...flags: string[]) =>
    startScale(["--role=app", entry, "--redis-url=file:kv.sqlite", "--drain-delay=0", ...flags]);

  test("on plain http it is sid; it survives a handler that throws, and works under routes", async () => {
    await using app = await withKv();
    const response = await fetch(`${app.url}/login-and-throw`, { method: "POST" });
    expect(response.status).toBe(409);
    const cookie = response.headers.get("set-cookie")!;
    expect(cookie).toMatch(/^sid=[\w-]{22}\.[\w-]{43}; Path=\/; Max-Age=\d+; HttpOnly; SameSite=Lax$/);
    const who = await fetch(`${app.url}/who`, { headers: { cookie: `a=b; ${cookie.split(";")[0]}` } });
    expect(await who.json()).toEqual({ user: "42" });
  });

  test("behind TLS it is __Host-sid and Secure, and another site cannot use it", async () => {
    await using app = await withKv("--public-url=https://shop.example");
    const response = await fetch(`${app.url}/login`, { method: "POST" });
    const cookie = response.headers.get("set-cookie")!;
    expect(cookie).toMatch(/^__Host-sid=.*; Secure$/);
    const post = (headers: { [name: string]: string }) =>
      fetch(`${app.url}/login`, { method: "POST", headers: { cookie: cookie.split(";")[0]!, ...headers } });
    expect((await post({ origin: "https://evil.example" })).status).toBe(403);
    expect((await post({ "sec-fetch-site": "same-site", origin: "https://blog.shop.example" })).status).toBe(403);
    expect((await post({ origin: "https://shop.example" })).status).toBe(200);
    // Without the cookie too: a session begun from elsewhere would be the attacker's.
    expect(
      (await fetch(`${app.url}/login`, { method: "POST", headers: { origin: "https://evil.example" } })).status,
    ).toBe(403);
    expect(await (await fetch(`${app.url}/me`)).json()).toMatchObject({ secure: true, url: "https://shop.example/me" });
  });

  test("X-Forwarded-For counts from a trusted proxy only", async () => {
    await using trusting = await withKv();
    await using wary = await withKv("--trusted-proxies=10.0.0.0/8");
    const headers = {
      "x-forwarded-for": "203.0.113.9",
      "x-forwarded-proto": "https",
      "x-forwarded-host": "shop.example",
    };
    const me = async (app: ScaleProcess) => (await fetch(`${app.url}/me`, { headers })).json();
    expect(await me(trusting)).toMatchObject({ ip: "203.0.113.9", secure: true, url: "https://shop.example/me" });
    expect(await me(wary)).toMatchObject({ ip: "127.0.0.1", secure: false });
  });
});

test("more requests than --requests-in-flight-max are refused, and served again once there is room", async () => {
  await using app = await startScale(["--role=app", entry, "--requests-in-flight-max=2", "--drain-delay=0"], {
    expectErrors: [/failed/],
  });
  const slow = [1, 2].map(() => fetch(`${app.url}/slow?ms=700`));
  await eventually(async () =>
    (await (await fetch(`${app.adminUrl}/metrics`)).text()).includes("app_requests_in_flight 2"),
  );
  const refused = await fetch(`${app.url}/json`);
  expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, "1"]);
  expect((await fetch(`${app.url}/readyz`)).status).toBe(200);
  expect((await Promise.all(slow)).map(({ status }) => status)).toEqual([200, 200]);
  expect((await fetch(`${app.url}/json`)).status).toBe(200);
});

test("SIGTERM: not ready first, then what is in flight finishes, then exit code 0", async () => {
  await using app = await startScale(["--role=app", entry, "--drain-delay=500ms"]);
  const slow = fetch(`${app.url}/slow?ms=900`);
  await eventually(async () =>
    (await (await fetch(`${app.adminUrl}/metrics`)).text()).includes("app_requests_in_flight 1"),
  );
  app.kill("SIGTERM");
  await eventually(async () => {
    const ready = await fetch(`${app.url}/readyz`);
    return ready.status === 503 && ((await ready.json()) as { state: string }).state === "draining";
  });
  expect((await fetch(`${app.url}/json`)).status).toBe(200);
  expect((await slow).status).toBe(200);
  expect(await app.exited).toBe(0);
});

test("a second signal stops at once", async () => {
  await using app = await startScale(["--role=app", entry, "--drain-delay=30s"]);
  app.kill("SIGTERM");
  await eventually(async () => (await fetch(`${app.url}/readyz`)).status === 503);
  // Two within a moment count as one: a terminal and npm both pass a Ctrl-C on.
  app.kill("SIGTERM");
  expect((await fetch(`${app.url}/json`)).status).toBe(200);
  const impatient = setInterval(() => app.kill("SIGTERM"), 100);
  expect(await app.exited).toBe(1);
  clearInterval(impatient);
});

test("a real Hono application runs unmodified, parameters, bodies and errors included", async () => {
  await using app = await startScale(["--role=app", `${import.meta.dir}/fixtures/hono.ts`, "--drain-delay=0"]);
  expect(await (await fetch(`${app.url}/hello/world`)).json()).toEqual({ hello: "world" });
  const post = await fetch(`${app.url}/sum`, { method: "POST", body: "[1,2,3]" });
  expect([post.status, await post.json()]).toEqual([201, { sum: 6 }]);
  expect((await fetch(`${app.url}/nowhere`)).status).toBe(404);
});

test("SIGTERM while the entry is still loading ends the process", async () => {
  const cwd = mkdtempSync(join(tmpdir(), "scale-entry-"));
  try {
    writeFileSync(
      join(cwd, "slow.ts"),
      'process.stdout.write("loading\\n"); await new Promise(() => setInterval(() => 0, 1e6)); export default {};',
    );
    await using app = await startScale(["--role=app", join(cwd, "slow.ts")], { ready: false });
    await eventually(() => app.log().includes("loading"));
    app.kill("SIGTERM");
    expect(await app.exited).toBe(0);
  } finally {
    rmSync(cwd, { recursive: true });
  }
});

test("a class with fetch, a bare handler and static files beside the entry are served", async () => {
  const directory = mkdtempSync(join(tmpdir(), "scale-entry-"));
  try {
    mkdirSync(join(directory, "public"));
    writeFileSync(join(directory, "public", "logo.0123456789abcdef.svg"), "<svg/>");
    writeFileSync(
      join(directory, "class.ts"),
      "class Router { name = 'router'; fetch(req: Request) { return new Response(this.name + new URL(req.url).pathname); } }\nexport default new Router();",
    );
    writeFileSync(join(directory, "bare.ts"), "export default (req: Request) => new Response('bare ' + req.method);");
    await using router = await startScale(["--role=app", join(directory, "class.ts"), "--drain-delay=0"]);
    expect(await (await fetch(`${router.url}/x`)).text()).toBe("router/x");
    const logo = await fetch(`${router.url}/logo.0123456789abcdef.svg`);
    expect([logo.status, logo.headers.get("cache-control")]).toEqual([200, "public, max-age=31536000, immutable"]);
    await using bare = await startScale(["--role=app", join(directory, "bare.ts"), "--drain-delay=0"]);
    expect(await (await fetch(bare.url, { method: "PUT" })).text()).toBe("bare PUT");
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test.each([
  ["missing.ts", "there is no missing.ts"],
  ["broken.ts", /broken\.ts cannot be loaded: \S*broken\.ts:1:\d+: Expected/],
  ["routes.ts", 'the route "users" cannot be served: expected a path that begins with /'],
  ["method.ts", 'the route "/" cannot be served: get is not a method'],
  ["metric.ts", "metric http_requests_total is one of scale's own"],
  ["empty.ts", "exports nothing to serve"],
])("an entry that cannot be served (%s) ends the start with exit code 78 and says why", async (name, message) => {
  const cwd = mkdtempSync(join(tmpdir(), "scale-entry-"));
  try {
    writeFileSync(join(cwd, "broken.ts"), "export default {");
    writeFileSync(join(cwd, "empty.ts"), "export const nothing = 1;");
    writeFileSync(join(cwd, "routes.ts"), "export default { routes: { users: () => 1 } };");
    writeFileSync(join(cwd, "method.ts"), "export default { routes: { '/': { get: () => 1 } } };");
    writeFileSync(
      join(cwd, "metric.ts"),
      "import { metrics } from 'scale'; metrics.counter('http_requests_total', 'x'); export default { fetch: () => new Response() };",
    );
    const { code, stderr } = await runScale(["--role=app", name, "--listen=127.0.0.1:0"], { cwd });
    expect(code).toBe(78);
    expect(stderr).toMatch(message);
  } finally {
    rmSync(cwd, { recursive: true });
  }
});

test("a taken port is an error that names it, exit code 78", async () => {
  await using app = await startScale(["--role=app", entry, "--drain-delay=0"]);
  const { port } = new URL(app.url);
  const { code, stderr } = await runScale(["--role=app", entry, `--listen=127.0.0.1:${port}`]);
  expect(code).toBe(78);
  expect(stderr).toContain(`port ${port}`);
});
