/** Role lb with services and redirects in scale.toml: who answers, what is changed on the way, what is refused, what a bad file says. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { closing, configured, get } from "../harness/balancer.ts";
import { eventually } from "../harness/eventually.ts";
import { metric } from "../harness/metrics.ts";
import { runScale } from "../harness/process.ts";
import { answer, exchange, rawBackend } from "../harness/raw.ts";

setDefaultTimeout(60_000);

function request(host: string, target: string, ...lines: readonly string[]): string {
  return get(target, closing, ...lines).replace("Host: shop.example", `Host: ${host}`);
}

test("each request reaches the service of its host and path, with the fields that the file says", async () => {
  using shop = rawBackend((peer) => peer.send(answer("shop", "200 OK", "Server: secret/1.0")));
  using api = rawBackend((peer) => peer.send(answer("api")));
  await using it = await configured(
    `[services.shop]
     hosts = ["shop.example", "*.shop.example"]
     backends = ["${shop.address}"]
     response-headers = { remove = ["Server"], set = { Strict-Transport-Security = "max-age=63072000" } }

     [services.api]
     hosts = ["shop.example"]
     paths = ["/api"]
     strip-prefix = true
     backends = ["${api.address}"]
     request-headers = { set = { X-Env = "production" } }

     [[redirects]]
     hosts = ["www.shop.example"]
     to = "https://shop.example{uri}"`,
    2,
  );
  const { lb } = it;
  const first = await exchange(lb.url, request("shop.example", "/"));
  expect(first).toEndWith("shop");
  expect(first).toContain("\r\nStrict-Transport-Security: max-age=63072000\r\n");
  expect(first).not.toContain("secret");
  expect(await exchange(lb.url, request("a.shop.example:8080", "/api"))).toEndWith("shop");
  expect(await exchange(lb.url, request("shop.example", "/api/users?x=1", "X_Env: fake", "X-Env: fake"))).toEndWith(
    "api",
  );
  const [head] = api.heads;
  expect(head).toStartWith("GET /users?x=1 HTTP/1.1\r\n");
  expect(head).toContain("\r\nX-Forwarded-Prefix: /api\r\n");
  expect(head!.match(/x.env: .*/gi)).toEqual(["X-Env: production"]);

  const moved = await exchange(lb.url, request("www.shop.example", "/a?b"));
  expect(moved).toStartWith("HTTP/1.1 308 Permanent Redirect\r\nLocation: https://shop.example/a?b\r\n");
  expect(await exchange(lb.url, request("evil.example", "/"))).toStartWith("HTTP/1.1 421 Misdirected Request\r\n");
  const before = shop.heads.length + api.heads.length;
  expect(await exchange(lb.url, request("shop.example", "/public/..%2fapi"))).toStartWith(
    "HTTP/1.1 400 Bad Request\r\n",
  );
  expect(shop.heads.length + api.heads.length).toBe(before);

  const line = await eventually(() => lb.log().find((each) => each.includes('"path":"/api/users"')));
  expect(JSON.parse(line)).toMatchObject({ route: "api", target: api.address, status: 200 });
  expect(await metric(lb.adminUrl, "http_requests_total", { route: "redirect", status: "308" })).toBe(1);
});

test("http is redirected to https where a trusted proxy says that it was http", async () => {
  using shop = rawBackend((peer) => peer.send(answer("shop")));
  await using it = await configured(
    `[[redirects]]\nscheme = "http"\nto = "https://{host}{uri}"\n[services.shop]\nbackends = ["${shop.address}"]`,
    1,
  );
  const plain = await exchange(it.lb.url, get("/a", closing));
  expect(plain).toContain("\r\nLocation: https://shop.example/a\r\n");
  expect(await exchange(it.lb.url, get("/a", closing, "X-Forwarded-Proto: https"))).toEndWith("shop");
});

test("--backend serves what no service of the file claims", async () => {
  using api = rawBackend((peer) => peer.send(answer("api")));
  using other = rawBackend((peer) => peer.send(answer("other")));
  await using it = await configured(`[services.api]\npaths = ["/api"]\nbackends = ["${api.address}"]`, 2, [
    `--backend=${other.address}`,
  ]);
  expect(await exchange(it.lb.url, get("/api/x", closing))).toEndWith("api");
  expect(await exchange(it.lb.url, get("/", closing))).toEndWith("other");
});

test("each service is checked as it says itself", async () => {
  using one = rawBackend((peer, head) => peer.send(answer("ok", head.startsWith("GET /up ") ? "200 OK" : "500 No")));
  await using it = await configured(`[services.one]\nhealth-path = "/up"\nbackends = ["${one.address}"]`, 1);
  expect(one.heads[0]).toStartWith("GET /up ");
  expect(it.lb.log().some((line) => line.includes("→ healthy"))).toBe(true);
});

describe("a file with mistakes", () => {
  test("ends the start with 78 and says all of them, with their lines", async () => {
    const directory = mkdtempSync(join(tmpdir(), "scale-toml-"));
    const path = join(directory, "scale.toml");
    writeFileSync(
      path,
      '[services.shop]\nhosts = ["shop.example/"]\nbackends = ["a:b"]\n[[redirects]]\nto = "//evil"\n',
    );
    const { code, stderr } = await runScale(["--role=lb", "--listen=127.0.0.1:0", `--config=${path}`]);
    rmSync(directory, { recursive: true });
    expect(code).toBe(78);
    expect(stderr).toContain(`${path}:2). Fix: hosts = `);
    expect(stderr).toContain(`${path}:3). Fix: backends = `);
    expect(stderr).toContain(`${path}:5). Fix: to = `);
  });
});
