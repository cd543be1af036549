/**
 * Whom a new user may want to read, a job: the authors whose posts among the newest thousand were viewed most. One statement, bounded
 * by idx_posts_created_at whatever the size of the table; running it again replaces its result.
 */
import { job, sql } from "scale";

import { signedIn } from "./signed_in.ts";

export const calculateFriendRecommendations = job(
  "calculate_friend_recommendations",
  async ({ user }: { user: string }) => {
    await sql.write`
      insert into recommendations (user_id, author_ids)
      select ${user}::bigint, coalesce(array_agg(author_id order by views desc, author_id), '{}')
      from (
        select author_id, sum(views) as views
        from (select author_id, views from posts order by created_at desc, id desc limit 1000) as newest
        where author_id <> ${user}
        group by author_id order by views desc, author_id limit 5
      ) as authors
      on conflict (user_id) do update set author_ids = excluded.author_ids, calculated_at = now()`;
  },
  { attempts: 5, timeout: "30s" },
);

/** `calculated_at` is null until the job has run: only then does an empty list mean that nobody was found. */
export async function myRecommendations(): Promise<unknown> {
  const [found] = await sql.read`
    select r.calculated_at, coalesce(
      json_agg(json_build_object('id', u.id::text, 'name', u.name, 'avatar', u.avatar) order by a.place)
        filter (where u.id is not null), '[]') as people
    from recommendations r
      left join unnest(r.author_ids) with ordinality as a (id, place) on true
      left join users u on u.id = a.id
    where r.user_id = ${await signedIn()} group by r.user_id`;
  return found ?? { calculated_at: null, people: [] };
}
