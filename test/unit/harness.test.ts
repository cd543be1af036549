// The harness is trusted to fail tests; these show that it does.

import { afterEach, expect, test } from "bun:test";
import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";

import { eventually } from "../harness/eventually.ts";
import { mark, own, survivors, testBegins, testEnds } from "../harness/leaks.ts";
import { Output } from "../harness/output.ts";
import { commandOf, connectionsOf, cpuSeconds } from "../harness/proc.ts";
import { rawBackend, rawClient } from "../harness/raw.ts";

const children: Bun.Subprocess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
});

function sleeper(value: string): Bun.Subprocess {
  const child = Bun.spawn(["sleep", "60"], { env: { [mark]: value }, stdio: ["ignore", "ignore", "ignore"] });
  children.push(child);
  return child;
}

test("a process that outlives its test fails the test, and is killed", async () => {
  testBegins();
  const owned = own("sleep 60");
  const child = sleeper(owned.value);
  await eventually(() => survivors(owned.value).length === 1);
  expect(testEnds).toThrow(/left behind:\n {2}process \d+ sleep 60 \(started by: sleep 60\)/);
  await child.exited;
  expect(child.signalCode).toBe("SIGKILL");
  expect(testEnds).not.toThrow();
});

test("a grandchild in a session of its own is found by the mark it inherited", async () => {
  const owned = own("sh");
  const script = "setsid sleep 60 & echo started";
  const shell = Bun.spawn(["sh", "-c", script], {
    env: { [mark]: owned.value, PATH: "/usr/bin:/bin" },
    stdout: "pipe",
  });
  await shell.exited;
  await eventually(() => survivors(owned.value).some((pid) => commandOf(pid) === "sleep 60"));
  for (const pid of survivors(owned.value)) process.kill(pid, "SIGKILL");
  await eventually(() => survivors(owned.value).length === 0);
});

test("a socket left open to a server that has gone fails the test", async () => {
  testBegins();
  const owned = own("a server");
  const server = createServer((socket) => socket.end()).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  owned.ports.add(port);
  const forgotten = connect({ host: "127.0.0.1", port, allowHalfOpen: true });
  await eventually(() => connectionsOf(process.pid).some((one) => one.state === "close_wait"));
  expect(testEnds).toThrow(`connection to port ${port} (of: a server)`);
  forgotten.end();
  server.close();
});

test("error-level lines and lines on stderr are complaints unless a pattern expects them", async () => {
  const script = `echo '{"level":"info","message":"fine"}'; echo '{"level":"error","message":"planned"}'
    echo 'app-1 │ {"level":"error","message":"surprise"}'; printf 'scale: no newline at the end' >&2`;
  const child = Bun.spawn(["sh", "-c", script], { stdout: "pipe", stderr: "pipe" });
  const output = new Output(child.stdout, child.stderr, [/planned/]);
  await output.done;
  expect(output.lines).toHaveLength(4);
  expect(output.complaints.toSorted()).toEqual([
    'app-1 │ {"level":"error","message":"surprise"}',
    "scale: no newline at the end",
  ]);
});

test("eventually says what was waited for and what was last seen", async () => {
  const never = eventually(() => Promise.reject(new Error("connection refused")), { timeout: 30, what: "port 1" });
  expect(never).rejects.toThrow("port 1 did not come true within 30 ms; last: connection refused");
  let asked = 0;
  expect(await eventually(() => ++asked === 3 && "third")).toBe("third");
});

test("CPU time of a process is read", () => {
  expect(cpuSeconds(process.pid)).toBeGreaterThan(0);
});

test("a condition that is never answered fails when time is up, and says so", async () => {
  const never = eventually(() => new Promise<boolean>(() => undefined), { timeout: 50, what: "silence" });
  await expect(never).rejects.toThrow("silence did not come true within 50 ms; last: no answer");
});

test("a scripted backend has its requests in the order in which they came, whatever the connection", async () => {
  using backend = rawBackend((peer) => peer.send("ok"));
  const clients = await Promise.all(Array.from({ length: 20 }, () => rawClient(`http://${backend.address}`)));
  clients.reverse();
  const heads = clients.map((_, n) => `GET /${n} HTTP/1.1\r\n\r\n`);
  for (const [n, client] of clients.entries()) client.send(heads[n]!);
  for (const client of clients) await client.until("ok");
  expect(backend.heads).toEqual(heads);
  for (const client of clients) client.end();
});

test("what does not come on a scripted connection fails with what came instead", async () => {
  using backend = rawBackend((peer) => peer.send("some"));
  using client = await rawClient(`http://${backend.address}`);
  client.send("GET / HTTP/1.1\r\n\r\n");
  await client.until("so");
  await expect(client.ended(50)).rejects.toThrow(
    'the end of the connection did not come within 50 ms; received "me", and all was sent',
  );
});
