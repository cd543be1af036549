/** Who a request comes from, given how far its peer is trusted. */
import { expect, test } from "bun:test";

import { Client } from "../../src/app/client.ts";
import { inNetworks, networkTest, parseCidr } from "../../src/std/cidr.ts";

const trusted = networkTest(["127.0.0.0/8", "10.0.0.0/8", "::1/128"].map(parseCidr));

function client(peer: string, headers: { [name: string]: string }, publicUrl?: string) {
  const all = new Headers({ host: "internal:3000", ...headers });
  const asked = new Client({ peer, headers: all }, trusted, publicUrl === undefined ? undefined : new URL(publicUrl));
  return { ip: asked.ip, secure: asked.secure, host: asked.host, ignored: asked.ignored };
}

test.each([
  ["10.1.2.3", "10.0.0.0/8", true],
  ["11.1.2.3", "10.0.0.0/8", false],
  ["::ffff:10.1.2.3", "10.0.0.0/8", true],
  ["::1", "::1", true],
  ["2001:db8::5", "2001:db8::/32", true],
  ["2001:db9::5", "2001:db8::/32", false],
  ["1.2.3.4", "0.0.0.0/0", true],
  ["::2", "0.0.0.0/0", false],
  ["not an address", "0.0.0.0/0", false],
  ["1.2.3", "0.0.0.0/0", false],
])("%s in %s: %p", (address, network, expected) => {
  expect(inNetworks(address, [parseCidr(network)])).toBe(expected);
});

test.each(["10.0.0.0/33", "10.0.0/8", "::1/129", "", "a/8", "1.2.3.4/8/8", "01.2.3.4", "1::2::3"])(
  "%p is no network",
  (text) => {
    expect(() => parseCidr(text)).toThrow("a network such as 10.0.0.0/8");
  },
);

test("a stranger's X-Forwarded-* mean nothing", () => {
  const spoofed = { "x-forwarded-for": "1.1.1.1", "x-forwarded-proto": "https", "x-forwarded-host": "evil.example" };
  expect(client("203.0.113.9", spoofed)).toEqual({
    ip: "203.0.113.9",
    secure: false,
    host: "internal:3000",
    ignored: true,
  });
});

test("a trusted proxy's are believed", () => {
  const forwarded = {
    "x-forwarded-for": "203.0.113.9",
    "x-forwarded-proto": "https",
    "x-forwarded-host": "shop.example",
  };
  expect(client("::ffff:10.0.0.1", forwarded)).toEqual({
    ip: "203.0.113.9",
    secure: true,
    host: "shop.example",
    ignored: false,
  });
});

test("X-Forwarded-For is read from the right, to the first address nobody trusts", () => {
  expect(client("10.0.0.1", { "x-forwarded-for": "6.6.6.6, 203.0.113.9, 10.0.0.2" }).ip).toBe("203.0.113.9");
  expect(client("10.0.0.1", { "x-forwarded-for": "10.0.0.3, 10.0.0.2" }).ip).toBe("10.0.0.3");
  expect(client("10.0.0.1", {}).ip).toBe("10.0.0.1");
});

test("what is no address ends the list: nobody can log as something else, or slip a limit", () => {
  for (const forged of ['9"}{evil', "unknown", "_hidden", "1.2.3"]) {
    expect(client("10.0.0.1", { "x-forwarded-for": forged }).ip).toBe("10.0.0.1");
    expect(client("10.0.0.1", { "x-forwarded-for": `${forged}, 10.0.0.2` }).ip).toBe("10.0.0.2");
  }
});

test("--public-url decides scheme and host whatever a request says", () => {
  const { secure, host } = client("10.0.0.1", { "x-forwarded-proto": "http" }, "https://shop.example");
  expect([secure, host]).toEqual([true, "shop.example"]);
});
