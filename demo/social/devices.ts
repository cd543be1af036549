/** Where I am signed in, and ending it there. Signing in is accounts.ts. */
import { HttpError, session } from "scale";

import { signedIn } from "./signed_in.ts";

export async function myDevices(): Promise<unknown> {
  await signedIn();
  return session.devices();
}

export async function logoutDevice(id: string): Promise<Response> {
  await signedIn();
  if (!(await session.logoutDevice(id)))
    throw new HttpError(404, "you are not logged in there any more", { code: "not_found" });
  return new Response(null, { status: 204 });
}

export async function logoutElsewhere(): Promise<Response> {
  await signedIn();
  await session.logoutEverywhere({ keepThis: true });
  return new Response(null, { status: 204 });
}
