/**
 * Signing up, in and out. The password's hash never leaves this file and passwords.ts; what others may see of a
 * user is users.ts.
 */
import { HttpError, limit, request, session, sql } from "scale";

import { sendWelcomeEmail } from "./mail.ts";
import * as passwords from "./passwords.ts";
import { calculateFriendRecommendations } from "./recommendations.ts";
import { signedIn } from "./signed_in.ts";
import { body, email, line, password } from "./validate.ts";

interface Account {
  readonly id: string;
  readonly name: string;
  readonly email: string;
  readonly avatar: string | null;
  readonly created_at: Date;
}

const uniqueViolation = "23505";
const wrongCredentials = () => new HttpError(401, "e-mail or password is wrong", { code: "wrong_credentials" });

/** Answers as soon as the account exists: what takes longer is left to the worker. */
export async function signup(req: Request): Promise<Response> {
  const given = await body(req, { name: line(80), email, password: password(8, 128) });
  // Each costs a hash, and sends a mail to whomever it names.
  await limit(`signup:address:${request().ip}`, { max: 60, per: "1m" });
  const account = await create(given.name, given.email, await passwords.hash(given.password));
  await session.login(account.id);
  return Response.json(account, { status: 201, headers: { location: `/users/${account.id}` } });
}

/** An unknown e-mail and a wrong password get the same answer after the same time. */
export async function login(req: Request): Promise<Account> {
  const given = await body(req, { email, password: password(1, 128) });
  await limit(`login:address:${request().ip}`, { max: 30, per: "1m" });
  await limit(`login:account:${given.email}`, { max: 10, per: "1m" });
  const [found] = await sql.read<Account & { password_hash: string }>`
    select id, name, email, avatar, created_at, password_hash from users where email = ${given.email}`;
  if (!(await passwords.matches(given.password, found?.password_hash)) || found === undefined) throw wrongCredentials();
  await session.login(found.id);
  const { password_hash: _, ...account } = found;
  return account;
}

export async function logout(): Promise<Response> {
  await session.logout();
  return new Response(null, { status: 204 });
}

export async function me(): Promise<Account> {
  const [account] = await sql.read<Account>`
    select id, name, email, avatar, created_at from users where id = ${await signedIn()}`;
  if (account === undefined) throw new HttpError(401, "this account is gone", { code: "not_signed_in" });
  return account;
}

/** The account and what is to be done for it exist together or not at all. */
async function create(name: string, address: string, passwordHash: string): Promise<Account> {
  try {
    return await sql.tx(async (tx) => {
      const [account] = await tx.write<Account>`
        insert into users (name, email, password_hash) values (${name}, ${address}, ${passwordHash})
        returning id, name, email, avatar, created_at`;
      if (account === undefined) throw new Error("an insert returned no row");
      await sendWelcomeEmail.enqueue({ user: account.id }, { tx });
      await calculateFriendRecommendations.enqueue({ user: account.id }, { tx });
      return account;
    });
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === uniqueViolation)) throw error;
    throw new HttpError(409, "this e-mail has an account: log in instead", {
      code: "email_taken",
      fields: { email: "has an account already: log in instead" },
    });
  }
}
