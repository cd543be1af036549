/** The balancer's decisions that are a function of facts: what may be sent again, and what a client is told of an error. */
import { describe, expect, test } from "bun:test";

import { Replay } from "../../lb/replay.ts";
import { errorResponse } from "../../lb/respond.ts";
import { type Facts, type Failure, retryVerdict, type Verdict } from "../../lb/retry.ts";
import { RetryBudget } from "../../lb/retry_budget.ts";
import { type ErrorCode, ScaleError } from "../../src/std/errors.ts";
import { RequestParser } from "../../src/wire/http1/request_parser.ts";

function request(method: string, ...lines: readonly string[]): RequestParser {
  const head = new RequestParser({ headBytesMax: 4096, headFieldsMax: 20, targetBytesMax: 100 });
  const bytes = Buffer.from([`${method} / HTTP/1.1`, "Host: a", ...lines, "", ""].join("\r\n"));
  head.feed(bytes, 0, bytes.length);
  return head;
}

describe("a failed request is sent again", () => {
  const facts: Facts = { isSafe: true, isBodyKept: true, made: 1, retriesMax: 2, left: 1_000 };
  test.each<[failure: Failure, safe: Verdict, unsafe: Verdict]>([
    ["connect", "elsewhere", "elsewhere"],
    ["unsent", "anywhere", "anywhere"],
    ["stale", "anywhere", "no"],
    ["unanswered", "elsewhere", "no"],
    ["status", "elsewhere", "no"],
    ["begun", "no", "no"],
  ])("%s: %s where the method is safe, %s where it is not", (failure, safe, unsafe) => {
    expect(retryVerdict(failure, facts)).toBe(safe);
    expect(retryVerdict(failure, { ...facts, isSafe: false })).toBe(unsafe);
  });

  test.each<[what: string, change: Partial<Facts>]>([
    ["whose body is gone", { isBodyKept: false }],
    ["that was tried --retries-max times more", { made: 3 }],
    ["where none is allowed", { retriesMax: 0 }],
    ["whose time is over", { left: 0 }],
  ])("but never one %s", (_, change) => {
    for (const failure of ["connect", "unsent", "stale", "unanswered", "status"] as const) {
      expect(retryVerdict(failure, { ...facts, ...change })).toBe("no");
    }
  });
});

describe("the retry budget", () => {
  const options = { retryPercentMax: 20, retriesPerSecondMin: 10 };
  const takeAll = (budget: RetryBudget, now: number) => {
    let taken = 0;
    while (budget.take(now)) taken++;
    return taken;
  };

  test("begins with ten seconds of what there is without requests, and saves no more", () => {
    const budget = new RetryBudget(options, 0);
    expect(budget.left(60_000)).toBe(100);
    expect(takeAll(budget, 60_000)).toBe(100);
  });

  test("is a share of the requests and a few a second", () => {
    const budget = new RetryBudget(options, 0);
    takeAll(budget, 0);
    for (let n = 0; n < 100; n++) budget.deposit();
    expect(takeAll(budget, 0)).toBe(20);
    expect(takeAll(budget, 2_000)).toBe(20);
    expect(budget.refused).toBe(3);
  });

  test("of nothing allows nothing", () => {
    const budget = new RetryBudget({ retryPercentMax: 0, retriesPerSecondMin: 0 }, 0);
    budget.deposit();
    expect(budget.take(1e6)).toBe(false);
  });

  test("bounds a storm: with every request failing, about a fifth more is sent", () => {
    const budget = new RetryBudget(options, 0);
    let retries = 0;
    for (let n = 0; n < 10_000; n++) {
      budget.deposit();
      for (let more = 0; more < 2; more++) if (budget.take(n)) retries++;
    }
    expect(retries).toBeWithin(2_000, 2_201);
  });
});

describe("a body is kept", () => {
  const sent = (replay: Replay) => {
    let text = "";
    replay.writeTo({
      writeBody: (bytes, start, end) => {
        text += bytes.toString("latin1", start, end);
        return true;
      },
      endBody: () => undefined,
    });
    return text;
  };

  test("as it was read, up to its maximum; beyond it nothing of it", () => {
    const replay = new Replay(8);
    replay.keep(Buffer.from("xhellox"), 1, 6);
    replay.keep(Buffer.from("abc"), 0, 3);
    expect([sent(replay), replay.isWhole]).toEqual(["helloabc", true]);
    replay.keep(Buffer.from("!"), 0, 1);
    expect([sent(replay), replay.isWhole]).toEqual(["", false]);
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
