/**
 * What the session's cookie holds: HANDLE.SECRET. The handle names the session in the store and may be shown; the secret proves whose
 * it is, and the store knows nothing of it but a hash. So a session stays where it is when its secret changes, and who reads the
 * store can neither use a session nor tell its next secret. When a secret changes is session_rotation.ts's.
 */
import { createHmac, randomBytes } from "node:crypto";

export interface SessionId {
  readonly handle: string;
  readonly secret: string;
}

const handleBytes = 16;
const secretBytes = 32;
const form = /^([\w-]{22})\.([\w-]{43})$/;

/** An id nobody can guess; of a session that exists already with its handle. */
export function makeId(handle = randomText(handleBytes)): SessionId {
  return { handle, secret: randomText(secretBytes) };
}

export function formatId({ handle, secret }: SessionId): string {
  return `${handle}.${secret}`;
}

/** Undefined: nothing that could be an id of ours. */
export function parseId(text: string): SessionId | undefined {
  const [, handle, secret] = form.exec(text) ?? [];
  return handle === undefined || secret === undefined ? undefined : { handle, secret };
}

/** What the store keeps of a secret. */
export function hashOf(secret: string): string {
  return new Bun.CryptoHasher("sha256").update(secret).digest("base64url");
}

/**
 * The secret that follows one: for whoever knows both it and the salt, which is the store's, always the same. An old cookie alone
 * does not tell it, nor does the store alone.
 */
export function successorOf(secret: string, salt: string): string {
  return createHmac("sha256", secret).update(salt).digest("base64url");
}

/** A text of that many random bytes. */
export function randomText(bytes = handleBytes): string {
  return randomBytes(bytes).toString("base64url");
}
