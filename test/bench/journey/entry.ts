// The guide's queries, each the way it begins and the way it ends up, on the demo's tables.
import { app, cache, sql } from "scale";

interface Post {
  readonly id: string;
  readonly author_id: string;
  readonly title: string;
}

const popular = () => sql.json`
  select p.id::text, p.title, p.views, u.name from posts p join users u on u.id = p.author_id
  order by p.views desc, p.id desc limit 20`;

export default app({
  routes: {
    "/n-plus-one": async () => {
      const posts = await sql.read<Post>`select id, author_id, title from posts order by id desc limit 100`;
      const shown: unknown[] = [];
      for (const { id, title, author_id } of posts) {
        const [author] = await sql.read<{ name: string }>`select name from users where id = ${author_id}`;
        shown.push({ id, title, author: author?.name });
      }
      return shown;
    },
    "/join": () =>
      sql.read`
        select posts.id, title, name as author from posts join users on users.id = author_id
        order by posts.id desc limit 100`,
    "/by-author/:id": ({ params }) => sql.read`select id, title from posts where author_id = ${params.id}`,
    "/popular": popular,
    "/popular-cached": () => cache.get("popular", { ttl: "10m" }, popular),
    "/users/:id": ({ params }) => sql.read`select id, name from users where id = ${params.id}`,
  },
});
