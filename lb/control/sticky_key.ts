/** What sticky cookies are signed with: the operator's key, or one of this start's own. */
import { randomBytes } from "node:crypto";

import { log } from "../../src/ops/log.ts";

const keyBytes = 32;
const ownKey = randomBytes(keyBytes).toString("base64url");

export interface StickyOptions {
  /** Name of the sticky cookie; without one clients go where the balance sends them. */
  readonly stickyCookie: string | undefined;
  readonly stickyKey: string | undefined;
}

export function stickyKeyOf({ stickyCookie, stickyKey }: StickyOptions, service: string): string {
  if (stickyKey !== undefined) return stickyKey;
  if (stickyCookie !== undefined) {
    log.warn(
      { service },
      `service ${service}: the sticky cookie is signed with a key of this start. A restart, or another balancer beside this one, ` +
        "sends clients elsewhere. Fix: SCALE_STICKY_KEY in the environment, or --sticky-key=@FILE, the same for all",
    );
  }
  return ownKey;
}
