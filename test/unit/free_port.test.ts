import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";

import { assertFree, freePorts } from "../../src/io/free_port.ts";

test("free ports are different, can be listened on, and are not of those that are handed out to anybody", () => {
  const range = readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "utf8");
  const [handedOutFrom] = range.trim().split(/\s+/).map(Number);
  const ports = freePorts(200);
  expect(new Set(ports).size).toBe(200);
  expect(ports.filter((port) => port >= handedOutFrom!)).toEqual([]);
  for (const port of ports) assertFree({ host: "127.0.0.1", port });
});

test("a port that is taken is not free, and is no longer taken once its listener stops", () => {
  const [port] = freePorts(1);
  const address = { host: "127.0.0.1", port: port! };
  const taken = Bun.listen({ hostname: address.host, port: address.port, socket: { data: () => undefined } });
  expect(() => assertFree(address)).toThrow(`port ${port} is taken`);
  taken.stop();
  assertFree(address);
});
