import { expect, test } from "bun:test";

import { type } from "arktype";
import * as v from "valibot";
import { z } from "zod";

import { isStandardSchema, validated } from "../../src/runtime/standard_schema.ts";

/** One that answers later, as a schema may that asks a database. */
const slow = {
  "~standard": {
    version: 1 as const,
    vendor: "test",
    validate: async (value: unknown) => {
      await Bun.sleep(1);
      if (value === "good") return { value: "better" };
      return { issues: Array.from({ length: 7 }, (_, n) => ({ message: `no ${n}`, path: ["a", { key: n }] })) };
    },
  },
};

test("a schema is known by its interface, not by its library", () => {
  expect(isStandardSchema(z.string())).toBe(true);
  expect(isStandardSchema(slow)).toBe(true);
  for (const other of [undefined, null, {}, { "~standard": { version: 2, validate() {} } }, { "~standard": {} }]) {
    expect(isStandardSchema(other)).toBe(false);
  }
});

test("the value comes out as the schema makes it", async () => {
  expect(
    await validated(z.object({ at: z.iso.date().transform((text) => new Date(text)) }), { at: "2026-01-02" }, "it"),
  ).toEqual({ at: new Date("2026-01-02") });
  expect(await validated(slow, "good", "it")).toBe("better");
});

const ofLibraries = {
  zod: z.object({ user: z.object({ id: z.string() }), copies: z.number().default(1) }),
  valibot: v.object({ user: v.object({ id: v.string() }), copies: v.optional(v.number(), 1) }),
  arktype: type({ user: { id: "string" }, copies: "number = 1" }),
};
for (const [library, schema] of Object.entries(ofLibraries)) {
  test(`a schema of ${library} checks and completes a value, and says where one is wrong`, async () => {
    expect(isStandardSchema(schema)).toBe(true);
    expect(await validated(schema, { user: { id: "7" } }, "it")).toEqual({ user: { id: "7" }, copies: 1 });
    const failure = validated(schema, { user: { id: 7 } }, "the payload");
    await expect(failure).rejects.toMatchObject({
      code: "payload_invalid",
      message: expect.stringMatching(/^the payload does not fit its schema: user\.id: .*string/),
    });
  });
}

test("what is wrong is said with its place, not all of it when it is much", async () => {
  const failure = validated(z.object({ user: z.object({ id: z.string() }) }), { user: { id: 7 } }, "the payload");
  await expect(failure).rejects.toMatchObject({
    code: "payload_invalid",
    message: expect.stringMatching(/^the payload does not fit its schema: user\.id: /),
  });
  await expect(validated(slow, "bad", "it")).rejects.toThrow(
    "it does not fit its schema: a.0: no 0; a.1: no 1; a.2: no 2; a.3: no 3; a.4: no 4; and 2 more",
  );
});
