/**
 * Tokens against cross-site request forgery, for clients that say nothing of the page a request comes from (std/foreign.ts refuses
 * those that do). Each is another text, so that none can be guessed from compressed pages; all count as long as the session's epoch.
 */

/** No age of its own: a form may be open for as long as its session lasts. */
const noLimit = 0;

export function makeCsrfToken(handle: string, epoch: string): string {
  return Bun.CSRF.generate(epoch, { sessionId: handle, expiresIn: noLimit });
}

export function isCsrfToken(token: string, handle: string, epoch: string): boolean {
  return token !== "" && Bun.CSRF.verify(token, { secret: epoch, sessionId: handle, maxAge: noLimit });
}
