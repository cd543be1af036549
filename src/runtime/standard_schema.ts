/**
 * Payloads checked by the application's own schema, whoever's it is: zod, valibot, arktype and others implement this interface.
 * Source: https://standardschema.dev, version 1. Only what jobs need of it.
 */
import type { StandardSchema } from "scale";

import { ScaleError } from "../std/errors.ts";

const issuesShownMax = 5;

interface Issue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

export function isStandardSchema(value: unknown): value is StandardSchema {
  if ((typeof value !== "object" && typeof value !== "function") || value === null) return false;
  const standard = (value as { readonly "~standard"?: { readonly version?: unknown; readonly validate?: unknown } })[
    "~standard"
  ];
  return standard?.version === 1 && typeof standard.validate === "function";
}

/** The value as the schema gives it on. Throws payload_invalid with what is wrong; `what` names the value. */
export async function validated(schema: StandardSchema, value: unknown, what: string): Promise<unknown> {
  const result = await schema["~standard"].validate(value);
  if (result.issues === undefined) return result.value;
  const shown = result.issues.slice(0, issuesShownMax).map(describe);
  const more = result.issues.length - shown.length;
  throw new ScaleError(
    "payload_invalid",
    `${what} does not fit its schema: ${shown.join("; ")}${more > 0 ? `; and ${more} more` : ""}`,
  );
}

function describe({ message, path = [] }: Issue): string {
  const place = path.map((part) => String(typeof part === "object" ? part.key : part)).join(".");
  return place === "" ? message : `${place}: ${message}`;
}
