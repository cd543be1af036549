/** What a route does to a request and its response: header rules both ways, the path that is taken off, an answer of its own. Hot. */
import { ScaleError } from "../src/std/errors.ts";
import { known } from "../src/wire/fields.ts";
import { type AddedFields, changed, type RequestHead, type ResponseHead } from "../src/wire/message.ts";
import { redirectResponse } from "./redirect.ts";
import type { LocalResponse } from "./respond.ts";
import type { Route } from "./route.ts";

export const nothingAdded: AddedFields = [];

/** The head as the target gets it; what rules add goes to `added`. */
export function requestOf<S>({ action, prefix }: Route<S>, head: RequestHead, added: string[]): RequestHead {
  if (action.kind !== "serve") return head;
  action.request?.apply(head.fields, added);
  return action.stripPrefix ? withoutPrefix(head, prefix) : head;
}

/** A target gets a host whatever the client said (RFC 9112 §3.2): where HTTP/1.0 names none, it is the target's own. */
export function withHost(head: RequestHead, targetName: string): RequestHead {
  return head.authority === "" ? changed(head, { authority: targetName }) : head;
}

/** Changes a response's fields as the route says, and returns `added` with what rules add. */
export function responseOf<S>({ action }: Route<S>, head: ResponseHead, added: AddedFields): AddedFields {
  if (action.kind !== "serve" || action.response === undefined) return added;
  const changed = [...added];
  action.response.apply(head.fields, changed);
  return changed;
}

/** What a target's response gets whatever the route. Who forwards one without Date adds when it came (RFC 9110 §6.6.1). */
export function forwardedFields(head: ResponseHead, setCookie: string | undefined): AddedFields {
  const hasDate = head.fields.find(known.date) !== -1;
  if (hasDate && setCookie === undefined) return nothingAdded;
  const added = hasDate ? [] : ["Date", new Date().toUTCString()];
  if (setCookie !== undefined) added.push("Set-Cookie", setCookie);
  return added;
}

/** The answer of a route that leads to no service; undefined if it leads to one. */
export function answerOf<S>({ action, prefix }: Route<S>, head: RequestHead): LocalResponse | ScaleError | undefined {
  if (action.kind === "serve") return undefined;
  if (action.kind === "refuse") return new ScaleError(action.code, action.message);
  return redirectResponse(action, prefix, head);
}

function withoutPrefix(head: RequestHead, prefix: string): RequestHead {
  const rest = head.target.slice(prefix.length);
  return changed(head, { target: rest.startsWith("/") ? rest : `/${rest}` });
}
