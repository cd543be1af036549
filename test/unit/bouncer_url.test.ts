/** A URL that leads to a PgBouncer, and what the driver is given of it. */
import { expect, test } from "bun:test";

import { isBouncer, withoutBouncer } from "../../src/std/bouncer_url.ts";

test.each([
  ["postgres://u:p@h:6432/d?pgbouncer=true", true, "postgres://u:p@h:6432/d"],
  ["postgres://u:p@a:1,b:2/d?pgbouncer=true&sslmode=require", true, "postgres://u:p@a:1,b:2/d?sslmode=require"],
  ["postgres://h/d?sslmode=require&pgbouncer=true", true, "postgres://h/d?sslmode=require"],
  ["postgres://h/d?a=1&pgbouncer=true&b=2", true, "postgres://h/d?a=1&b=2"],
  ["postgres://h/d?pgbouncer=false", false, "postgres://h/d"],
  ["postgres://h/d?notpgbouncer=true", false, "postgres://h/d?notpgbouncer=true"],
  ["postgres://u:pgbouncer=true@h/d", false, "postgres://u:pgbouncer=true@h/d"],
])("%s", (url, is, rest) => {
  expect(isBouncer(url)).toBe(is);
  expect(withoutBouncer(url)).toBe(rest);
});
