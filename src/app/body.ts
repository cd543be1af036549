/** Request bodies that are not what they should be: whose fault that is, and how it is said. Reading them is the handler's. */
import { messageOf, ScaleError } from "../std/errors.ts";

/** Bun enforces the limit on what arrives; a length announced too large is refused before a byte is read. */
export function checkLength(request: Request, bytesMax: number): void {
  const length = request.headers.get("content-length");
  if (length !== null && Number(length) > bytesMax) {
    throw new ScaleError("body_too_large", `The body has ${length} bytes; at most ${bytesMax} are accepted.`);
  }
}

/** Makes req.json() and req.formData() fail with the client's fault. Outside of them the same error may be anybody's, and stays ours. */
export function guardBody(request: Request): void {
  if (request.method === "GET" || request.method === "HEAD") return;
  const json = request.json.bind(request);
  const formData = request.formData.bind(request);
  request.json = () => json().catch((error: unknown) => malformed(error, error instanceof SyntaxError, "JSON"));
  // Bun gives such errors no code in common; others are of the body's size, or of a client that has left.
  request.formData = () =>
    formData().catch((error: unknown) => malformed(error, /form ?data/i.test(messageOf(error)), "a form"));
}

function malformed(error: unknown, isTheirs: boolean, expected: string): never {
  if (!isTheirs) throw error;
  throw new ScaleError("request_malformed", `The body is not ${expected}: ${messageOf(error)}.`, { cause: error });
}

/** What reading a body threw because of its size, as the error it is; anything else unchanged. */
export function bodyFault(error: unknown): unknown {
  if (!(error instanceof Error) || messageOf(error) !== "Request body exceeded maxRequestBodySize") return error;
  return new ScaleError("body_too_large", "The body is larger than is accepted.", { cause: error });
}
