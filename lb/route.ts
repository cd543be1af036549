/** Which service a request goes to. There is one service so far, so there is one answer. */
import type { RequestHead } from "../src/wire/message.ts";
import type { Service } from "./service.ts";

export interface Routes {
  readonly fallback: Service;
}

export function route(routes: Routes, _head: RequestHead): Service {
  return routes.fallback;
}
