/** The module's `session`: what an application calls, for the request being served. What it does is session_state.ts and session_devices.ts. */
import type { Device, Json } from "scale";

import { requestContext } from "./context.ts";
import { kvStore } from "./runtime.ts";
import { devicesOf, endDevices } from "./session_devices.ts";
import type { SessionState } from "./session_state.ts";

/** `asked` is what the application called, for the error outside of a request. */
function current(asked: string): SessionState {
  return requestContext(`session.${asked}()`).session;
}

export const session = {
  get: async <T = unknown>(field: string) => (await current("get").get(field)) as T | undefined,
  set: async (field: string, value: Json) => current("set").set(field, value),
  delete: async (field: string) => current("delete").delete(field),
  user: async () => current("user").user(),
  login: async (user: string) => current("login").login(user),
  renew: async () => current("renew").renew(),
  logout: async () => current("logout").logout(),
  csrf: async () => current("csrf").csrf(),
  checkCsrf: async (token: string | null | undefined) => current("checkCsrf").checkCsrf(token),
  devices: async (options: { readonly user?: string } = {}): Promise<readonly Device[]> =>
    options.user === undefined ? current("devices").devices() : devicesOf(kvStore("session.devices()"), options.user),
  logoutDevice: async (id: string) => current("logoutDevice").logoutDevice(id),
  logoutEverywhere: async (options: { readonly user?: string; readonly keepThis?: boolean } = {}) =>
    options.user === undefined
      ? current("logoutEverywhere").logoutEverywhere(options.keepThis ?? false)
      : endDevices(kvStore("session.logoutEverywhere()"), options.user),
};
