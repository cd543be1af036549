// Whether the kernel hands the queue of a closed listener to the others on its port (net.ipv4.tcp_migrate_req, Linux 5.14). A setting
// of the whole machine: a test that sets it sets it back.
import { readFileSync, writeFileSync } from "node:fs";

const setting = "/proc/sys/net/ipv4/tcp_migrate_req";

export const migrateBefore = readFileSync(setting, "utf8");

/** False where a test may not. */
export function migrate(to: string): boolean {
  try {
    writeFileSync(setting, to);
    return true;
  } catch {
    return false;
  }
}
