/** Who is asking. Opening and closing a session is accounts.ts. */
import { HttpError, session } from "scale";

/** The id of the user who is signed in; 401 otherwise. */
export async function signedIn(): Promise<string> {
  const user = await session.user();
  if (user === null) throw new HttpError(401, "log in first", { code: "not_signed_in" });
  return user;
}
