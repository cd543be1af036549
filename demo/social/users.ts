/** What everyone may see of a user. Cache-aside for an hour: a profile is read with every visit and hardly ever changes. */
import { cache, sql } from "scale";

import { id, notFound } from "./validate.ts";

interface Profile {
  readonly id: string;
  readonly name: string;
  readonly avatar: string | null;
  readonly created_at: string;
}

export function profile(given: string): Promise<Profile> {
  const user = id(given, "user");
  return cache.get(`user:${user}`, { ttl: "1h" }, async () => {
    const [found] = await sql.read<Profile>`select id, name, avatar, created_at from users where id = ${user}`;
    if (found === undefined) throw notFound("user");
    return found;
  });
}

/** The newest 100. */
export async function postsOf(given: string): Promise<unknown> {
  const { id: user } = await profile(given);
  return cache.get(
    `user_posts:${user}`,
    { ttl: "1h" },
    () => sql.json`
      select id::text, title, content, views, created_at
      from posts where author_id = ${user} order by created_at desc, id desc limit 100`,
  );
}
