/** Role lb on connections that switch protocols: WebSockets to a real application, and scripts of bytes for what no library does. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";

import { balancer, closing, get, through } from "../harness/balancer.ts";
import { eventually } from "../harness/eventually.ts";
import { metric } from "../harness/metrics.ts";
import { runScale, startScale } from "../harness/process.ts";
import { answer, rawBackend, rawClient } from "../harness/raw.ts";

setDefaultTimeout(60_000);

const switched = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n";
const toEcho = get("/", "Connection: keep-alive, Upgrade", "Upgrade: echo/1, echo");

/** Accepts every upgrade and says back what it hears, until it hears "end". */
const echoing = () =>
  rawBackend(async (peer) => {
    peer.send(switched);
    while (!peer.isEnded) {
      await eventually(() => peer.received.length > 0 || peer.isEnded, { timeout: 60_000 });
      const heard = peer.take(peer.received.length);
      peer.send(heard);
      if (heard.includes("end")) peer.end();
    }
  });

describe("bytes after 101", () => {
  test("pass both ways as they are, from the first that either side sent early", async () => {
    using backend = rawBackend(async (peer) => {
      peer.send(`${switched}early from the target|`);
      peer.send(await peer.until("early from the client|"));
      peer.send(await peer.until("\r\n\r\nGET / HTTP/1.1\r\n\0\n|"));
    });
    await using lb = await balancer([backend], ["--tunnel-drain-timeout=0"]);
    using client = await rawClient(lb.url);
    client.send(`${toEcho}early from the client|`);
    expect(await client.until("early from the client|")).toBe(
      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nearly from the target|early from the client|",
    );
    client.send("\r\n\r\nGET / HTTP/1.1\r\n\0\n|");
    expect(await client.until("\0\n|")).toBe("\r\n\r\nGET / HTTP/1.1\r\n\0\n|");
    expect(backend.heads).toHaveLength(1);
    expect(backend.heads[0]).toContain("\r\nUpgrade: echo/1, echo\r\nConnection: Upgrade\r\n");
  });

  test("come until each side has ended, then both connections are gone and one line says so", async () => {
    using backend = echoing();
    await using lb = await balancer([backend]);
    using client = await rawClient(lb.url);
    client.send(toEcho);
    await client.until("\r\n\r\n");
    client.send("hello");
    await client.until("hello");
    expect(await metric(lb.adminUrl, "lb_tunnels_open")).toBe(1);
    client.send("end");
    expect(await client.rest()).toBe("end");
    client.end();
    await eventually(async () => (await metric(lb.adminUrl, "lb_tunnels_open")) === 0);
    await eventually(async () => (await metric(lb.adminUrl, "lb_connections_open")) === 0);
    const line = await eventually(() => lb.log().find((each) => each.includes('"status":101')));
    expect(JSON.parse(line)).toMatchObject({ path: "/", bytes: 8 });
    expect(JSON.parse(line)).not.toHaveProperty("error");
  });

  test("stop for the other side when one is gone", async () => {
    using backend = echoing();
    await using lb = await balancer([backend]);
    using left = await rawClient(lb.url);
    left.send(toEcho);
    await left.until("\r\n\r\n");
    await eventually(() => backend.open > 0);
    left.reset();
    await eventually(async () => (await metric(lb.adminUrl, "lb_tunnels_open")) === 0);
    using kept = await rawClient(lb.url);
    kept.send(toEcho);
    await kept.until("\r\n\r\n");
    backend.stop(true);
    await kept.rest();
    await eventually(() => lb.log().some((each) => each.includes('"error":"upstream_closed"')));
  });
});

test("a target that drains gives its tunnels time, then they end, and no other target's do", async () => {
  using draining = echoing();
  using staying = echoing();
  await using lb = await balancer([draining, staying], ["--tunnel-drain-timeout=500ms"]);
  const clients = [await rawClient(lb.url), await rawClient(lb.url)];
  for (const client of clients) {
    client.send(toEcho);
    await client.until("\r\n\r\n");
  }
  const { code } = await runScale(["lb", "drain", draining.address, `--run-dir=${lb.cwd}/run`]);
  expect(code).toBe(0);
  await eventually(() => clients.filter((client) => client.isEnded).length === 1);
  const left = clients.find((client) => !client.isEnded);
  left!.send("still here");
  expect(await left!.until("still here")).toBe("still here");
  for (const client of clients) client.end();
});

describe("an Upgrade", () => {
  test.each([
    ["to h2c", ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"]],
    ["that Connection does not name", ["Upgrade: echo"]],
    ["to nothing", ["Connection: Upgrade"]],
    ["to what is no protocol", ["Connection: Upgrade", "Upgrade: e(c)ho"]],
  ])("%s goes no further", async (_, lines) => {
    using backend = rawBackend((peer) => peer.send(answer("plain")));
    await using lb = await balancer([backend]);
    using client = await rawClient(lb.url);
    client.send(get("/", ...lines) + get("/", closing));
    expect((await client.rest()).match(/plain/g)).toHaveLength(2);
    expect(backend.heads.join("")).not.toMatch(/upgrade|http2|h2c/i);
  });

  test.each([
    ["HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"],
    [
      "a request with a body",
      `POST / HTTP/1.1\r\nHost: a\r\n${closing}\r\nConnection: Upgrade\r\nUpgrade: echo\r\nContent-Length: 2\r\n\r\nhi`,
    ],
  ])("in %s goes no further", async (_, request) => {
    using backend = rawBackend((peer) => peer.send(answer("plain")));
    await using lb = await balancer([backend]);
    using client = await rawClient(lb.url);
    client.send(request);
    expect(await client.rest()).toContain("plain");
    expect(backend.heads[0]).not.toMatch(/upgrade/i);
  });

  test("that the target does not accept leaves an ordinary connection", async () => {
    using backend = rawBackend((peer) => peer.send(answer("not here", "426 Upgrade Required")));
    await using lb = await balancer([backend]);
    using client = await rawClient(lb.url);
    client.send(toEcho + get("/next", closing));
    expect((await client.rest()).match(/HTTP\/1.1 426 Upgrade Required/g)).toHaveLength(2);
    expect(backend.heads).toHaveLength(2);
  });

  test.each(["other", "h2c", "echo, other", ""])("answered by a switch to %p is answered for with 502", async (to) => {
    const script = (peer: { send: (text: string) => void }) =>
      peer.send(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${to}\r\n\r\n`);
    expect(await through(script, get("/", `${closing}, Upgrade`, "Upgrade: echo"))).toStartWith("HTTP/1.1 502 ");
  });
});

describe("a WebSocket", () => {
  const entry = `${import.meta.dir}/fixtures/websocket.ts`;

  async function connected(url: string): Promise<WebSocket> {
    const socket = new WebSocket(url.replace("http:", "ws:"));
    socket.binaryType = "arraybuffer";
    await new Promise((resolve, reject) => {
      socket.addEventListener("open", resolve);
      socket.addEventListener("error", () => reject(new Error("no WebSocket")));
    });
    return socket;
  }

  const next = <E extends Event>(socket: WebSocket, event: "message" | "close") =>
    new Promise<E>((resolve) => socket.addEventListener(event, (it) => resolve(it as unknown as E), { once: true }));

  test("to role app works through the balancer: texts, large messages with back-pressure, and a close with its code", async () => {
    await using app = await startScale(["--role=app", entry, "--drain-delay=0"]);
    await using lb = await balancer([new URL(app.url).host]);
    const socket = await connected(lb.url);
    socket.send("hello");
    expect((await next<MessageEvent>(socket, "message")).data).toBe("hello");
    const large = new Uint8Array(8 * 1024 ** 2).fill(7);
    socket.send(large);
    expect(((await next<MessageEvent>(socket, "message")).data as ArrayBuffer).byteLength).toBe(large.length);
    socket.send("bye");
    expect(await next<CloseEvent>(socket, "close")).toMatchObject({ code: 4000, reason: "as you like" });
    expect(await (await fetch(lb.url)).text()).toBe("plain");
    await eventually(async () => (await metric(lb.adminUrl, "lb_tunnels_open")) === 0);
    expect(await metric(lb.adminUrl, "lb_tunnels_total")).toBe(1);
  });

  test("that is silent is closed after --tunnel-idle-timeout, one that is not lives on", async () => {
    await using app = await startScale(["--role=app", entry, "--drain-delay=0"]);
    await using lb = await balancer([new URL(app.url).host], ["--tunnel-idle-timeout=1s"]);
    const [silent, talking] = await Promise.all([connected(lb.url), connected(lb.url)]);
    let closed = false;
    silent.addEventListener("close", () => (closed = true));
    await eventually(async () => {
      talking.send("still here");
      await next(talking, "message");
      return closed;
    });
    talking.send("bye");
    await next(talking, "close");
    await eventually(() => lb.log().some((line) => line.includes('"error":"tunnel_idle"')));
  });

  test("and a download that are open when the balancer drains: the download ends, the WebSocket has its time, then it is closed", async () => {
    await using app = await startScale(["--role=app", entry, "--drain-delay=0"]);
    await using lb = await balancer([new URL(app.url).host], ["--tunnel-drain-timeout=1s"]);
    const socket = await connected(lb.url);
    const download = await fetch(`${lb.url}/slow`);
    lb.kill("SIGTERM");
    const at = performance.now();
    await eventually(() => lb.log().some((line) => line.includes("draining")));
    socket.send("still there?");
    expect((await next<MessageEvent>(socket, "message")).data).toBe("still there?");
    expect(await download.text()).toBe("piece ".repeat(10));
    await next(socket, "close");
    expect(performance.now() - at).toBeGreaterThan(900);
    expect(await lb.exited).toBe(0);
  });
});
