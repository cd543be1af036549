/** When a session's secret changes, and which of two counts: the verdict on a record and a secret. */
import { describe, expect, test } from "bun:test";

import { hashOf, successorOf } from "../../src/runtime/session_id.ts";
import { newborn, newEpoch, ofOldEpoch } from "../../src/runtime/session_record.ts";
import { graceMilliseconds, judge } from "../../src/runtime/session_rotation.ts";

const day = 86_400_000;
const begun = 1_000_000;
type Fields = { readonly [field: string]: string };

/** The record after a verdict has been written. */
function after(fields: Fields, verdict: ReturnType<typeof judge>): Fields {
  if (!verdict.isOwner) throw new Error("not the owner");
  const gone = new Set(verdict.delete);
  return Object.fromEntries(Object.entries({ ...fields, ...verdict.set }).filter(([field]) => !gone.has(field)));
}

const settled = newborn("first", begun, { ip: "", userAgent: "" });
const offer = judge(settled, "first", begun + day, day);
const offered = after(settled, offer);
const second = successorOf("first", settled["s"]!);
const taken = after(offered, judge(offered, second, begun + day + 5_000, day));

describe("a settled session", () => {
  test("knows its secret and no other, and changes nothing before the secret is due", () => {
    expect(judge(settled, "first", begun + day - 1, day)).toEqual({ isOwner: true });
    for (const secret of ["", "second", hashOf("first"), settled["s"]!])
      expect(judge(settled, secret, begun, day)).toEqual({ isOwner: false });
  });

  test("offers the next secret when it is due: what only the one who knows the secret and the salt can tell", () => {
    expect(offer).toMatchObject({ isOwner: true, give: second, set: { k: hashOf(second), p: hashOf("first") } });
    expect(offered["s"]).not.toBe(settled["s"]);
    expect(JSON.stringify(offered)).not.toContain(second);
  });
});

describe("an offered secret", () => {
  test("is given again, the same, to whoever brings the one before, at any time", () => {
    for (const wait of [0, 1, graceMilliseconds, 30 * day])
      expect(judge(offered, "first", begun + day + wait, day)).toEqual({ isOwner: true, give: second });
  });

  test("is taken when it is brought, and not replaced in that step however old it is", () => {
    const now = begun + 3 * day;
    expect(judge(offered, second, now, day)).toEqual({ isOwner: true, set: { a: String(now) } });
  });
});

describe("a taken secret", () => {
  test("leaves the one before 10 seconds, and offers no other in them", () => {
    const now = begun + day + 5_000;
    expect(judge(taken, "first", now + graceMilliseconds - 1, day)).toEqual({ isOwner: true });
    expect(judge(taken, second, now + graceMilliseconds - 1, 0)).toEqual({ isOwner: true });
    expect(judge(taken, "first", now + graceMilliseconds, day)).toEqual({ isOwner: false });
    expect(judge(taken, second, now + graceMilliseconds, 0)).toMatchObject({ isOwner: true, delete: ["a"] });
  });
});

test("a new epoch ends all there was, whatever was offered or taken", () => {
  for (const fields of [settled, offered, taken]) {
    const renewed = after(fields, { isOwner: true, set: newEpoch("third", begun + day), delete: ofOldEpoch });
    for (const secret of ["first", second])
      expect(judge(renewed, secret, begun + day, day)).toEqual({ isOwner: false });
    expect(judge(renewed, "third", begun + day, day)).toEqual({ isOwner: true });
  }
});
