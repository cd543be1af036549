/** The balancer's decisions that are a function of facts: what may be sent again, and what a client is told of an error. */
import { describe, expect, test } from "bun:test";

import { errorResponse } from "../../lb/respond.ts";
import { type Failure, mayRetry } from "../../lb/retry.ts";
import { type ErrorCode, ScaleError } from "../../src/std/errors.ts";
import { RequestParser } from "../../src/wire/http1/request_parser.ts";

function request(method: string, ...lines: readonly string[]): RequestParser {
  const head = new RequestParser({ headBytesMax: 4096, headFieldsMax: 20, targetBytesMax: 100 });
  const bytes = Buffer.from([`${method} / HTTP/1.1`, "Host: a", ...lines, "", ""].join("\r\n"));
  head.feed(bytes, 0, bytes.length);
  return head;
}

describe("a failed request is sent again", () => {
  const body = "Content-Length: 5";
  const cases: readonly (readonly [failure: Failure, method: string, lines: readonly string[], verdict: boolean])[] = [
    ["connect", "GET", [], true],
    ["connect", "POST", [body], true],
    ["unanswered", "GET", [], true],
    ["unanswered", "HEAD", [], true],
    ["unanswered", "GET", [body], false],
    ["unanswered", "POST", [], false],
    ["unanswered", "PUT", [], false],
    ["begun", "GET", [], false],
    ["begun", "POST", [body], false],
  ];
  test.each(cases)("%s of %s %j: %p", (failure, method, lines, verdict) => {
    expect(mayRetry(failure, request(method, ...lines), { made: 1, retriesMax: 2 })).toBe(verdict);
  });

  test("at most --retries-max times", () => {
    expect([1, 2, 3].map((made) => mayRetry("connect", request("GET"), { made, retriesMax: 2 }))).toEqual([
      true,
      true,
      false,
    ]);
    expect(mayRetry("connect", request("GET"), { made: 1, retriesMax: 0 })).toBe(false);
  });
});

describe("an error becomes a response", () => {
  const responseTo = (code: ErrorCode, ...lines: readonly string[]) =>
    errorResponse(new ScaleError(code, "10.0.0.1:3000: refused"), request("GET", ...lines), "r1");

  test("in JSON for who names it, in text for everyone else", () => {
    const json = responseTo("upstream_unreachable", "Accept: text/html, application/json");
    expect(JSON.parse(json.body.toString())).toEqual({
      error: { code: "upstream_unreachable", message: "the application server could not be reached", request: "r1" },
    });
    expect(responseTo("upstream_unreachable").body.toString()).toBe(
      "502 the application server could not be reached\nrequest r1\n",
    );
  });

  test.each([
    ["no_target", 503],
    ["upstream_unreachable", 502],
    ["upstream_closed", 502],
    ["upstream_malformed", 502],
    ["upstream_timeout", 504],
    ["internal", 500],
  ] as const)("%s is %d, and tells nothing of the inside", (code, status) => {
    const { head, body } = responseTo(code);
    expect(head.status).toBe(status);
    expect(body.toString()).not.toContain("10.0.0.1");
    expect(head.bodyLength).toBe(body.length);
  });

  test("a client's own mistake is named", () => {
    const { body } = errorResponse(new ScaleError("request_malformed", "Host is given twice"), undefined, "r1");
    expect(body.toString()).toBe("400 Host is given twice\nrequest r1\n");
  });

  test("503 says when to come back; HEAD gets no body", () => {
    expect(responseTo("no_target").added).toContain("Retry-After");
    expect(errorResponse(new ScaleError("no_target", ""), request("HEAD"), "r1").head.hasBody).toBe(false);
  });
});
