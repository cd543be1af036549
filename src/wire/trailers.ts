/**
 * Which fields may come after a body (RFC 9110 §6.5.1). A recipient may merge trailers into the head, so whatever frames, routes,
 * authenticates, or changes what the message or its content is, would be said by someone who was not checked for it when the head was.
 */
import { type Fields, known } from "./fields.ts";

const forbidden = new Set([
  // Control data, request modifiers and conditions
  ..."cache-control expires pragma age vary warning max-forwards range if-match if-none-match if-modified-since".split(
    " ",
  ),
  ..."if-unmodified-since if-range location retry-after allow alt-svc expect".split(" "),
  // Authentication and state
  ..."authorization www-authenticate authentication-info cookie set-cookie set-cookie2".split(" "),
  ..."origin referer strict-transport-security".split(" "),
  // The content
  ..."content-encoding content-type content-range content-language content-location content-disposition".split(" "),
  "content-security-policy",
]);

/** Takes out of `trailers` what must not be there; returns undefined if nothing is left. */
export function allowedTrailers(trailers: Fields): Fields | undefined {
  let isEmpty = true;
  for (let index = 0; index < trailers.count; index++) {
    if (isAllowed(trailers, index)) isEmpty = false;
    else trailers.drop(index);
  }
  return isEmpty ? undefined : trailers;
}

/** Every name that scale gives meaning to in a head (framing, the hop, who the client is) has none here. */
function isAllowed(trailers: Fields, index: number): boolean {
  return trailers.id(index) === known.other && !forbidden.has(trailers.name(index).toLowerCase());
}
