/** One address has one text, however it was written. */
import { expect, test } from "bun:test";

import { formatAddress, parseAddress } from "../../src/std/cidr.ts";

test.each([
  ["192.0.2.7", "192.0.2.7"],
  ["0.0.0.0", "0.0.0.0"],
  ["::ffff:192.0.2.7", "192.0.2.7"],
  ["::", "::"],
  ["::1", "::1"],
  ["1::", "1::"],
  ["2001:DB8:0:0:0:0:0:1", "2001:db8::1"],
  ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
  ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
  ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
  ["0:0:0:1:2:3:4:5", "::1:2:3:4:5"],
  ["10:0:0:1:2:3:4:50", "10::1:2:3:4:50"],
  ["1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"],
])("%s is written %s", (address, text) => {
  expect(formatAddress(parseAddress(address)!)).toBe(text);
});
