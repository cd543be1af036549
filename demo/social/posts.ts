/**
 * Posts: three lists and one. Each list is one statement whose JSON PostgreSQL builds, an author's name and picture included.
 * Whoever changes a post deletes the cache entries that show it. Counting views is views.ts.
 */
import { cache, HttpError, metrics, sql } from "scale";

import { signedIn } from "./signed_in.ts";
import { body, id, line, notFound, text } from "./validate.ts";
import { countView } from "./views.ts";

interface Post {
  readonly id: string;
  readonly author: { readonly id: string; readonly name: string; readonly avatar: string | null };
  readonly title: string;
  readonly content: string;
  readonly views: number;
  readonly created_at: string;
}

const postsCreated = metrics.counter("posts_created_total", "Posts written.");
const popularMax = 20;
const fields = { title: line(120), content: text(2_000) };

/** Of p, a post, and u, its author. */
const shown = sql.fragment`
  p.id::text, p.title, p.content, p.views, p.created_at,
  json_build_object('id', u.id::text, 'name', u.name, 'avatar', u.avatar) as author`;
const withAuthor = sql.fragment`select ${shown} from posts p join users u on u.id = p.author_id`;

export function newest(): Promise<unknown> {
  return sql.json`${withAuthor} order by p.created_at desc, p.id desc limit 100`;
}

/** The same for everyone, so that caches on the way may keep it too. */
export async function popular(): Promise<Response> {
  const list = await cache.get(
    "popular_posts",
    { ttl: "10m" },
    () => sql.json`${withAuthor} order by p.views desc, p.id desc limit ${popularMax}`,
  );
  return new Response(list.json, {
    headers: { "content-type": "application/json", "cache-control": "public, max-age=300" },
  });
}

/** Cached for a minute only: that is how far the number of views may lag. */
export async function show(given: string): Promise<unknown> {
  const post = id(given, "post");
  const found = await cache.get(`post:${post}`, { ttl: "1m" }, async () => {
    const [row] = await sql.read<Post>`${withAuthor} where p.id = ${post}`;
    if (row === undefined) throw notFound("post");
    return row;
  });
  countView(post);
  return found;
}

export async function publish(req: Request): Promise<Response> {
  const author = await signedIn();
  const { title, content } = await body(req, fields);
  const [post] = await sql.write<Post>`
    with p as (insert into posts (author_id, title, content) values (${author}, ${title}, ${content}) returning *)
    select ${shown} from p join users u on u.id = p.author_id`;
  if (post === undefined) throw new Error("an insert returned no row");
  postsCreated.inc();
  await cache.invalidate({ keys: [`user_posts:${author}`, ...(isAmongFirst(post) ? ["popular_posts"] : [])] });
  return Response.json(post, { status: 201, headers: { location: `/posts/${post.id}` } });
}

export async function edit(given: string, req: Request): Promise<Post> {
  const author = await signedIn();
  const post = id(given, "post");
  const { title, content } = await body(req, fields);
  // Together: no crash between the two may leave the old text in every cache.
  const edited = await sql.tx(async (tx) => {
    const [row] = await tx.write<Post>`
      with p as (
        update posts set title = ${title}, content = ${content} where id = ${post} and author_id = ${author} returning *
      )
      select ${shown} from p join users u on u.id = p.author_id`;
    if (row) await cache.invalidate({ keys: [`post:${post}`, "popular_posts", `user_posts:${author}`], tx });
    return row;
  });
  if (edited === undefined) throw await refusal(post);
  return edited;
}

/** Nobody has read a new post, so the popular ones may stay as they are, except while their list has room. */
function isAmongFirst(post: Post): boolean {
  return BigInt(post.id) <= popularMax;
}

async function refusal(post: string): Promise<HttpError> {
  const [found] = await sql.read`select 1 from posts where id = ${post}`;
  if (found === undefined) return notFound("post");
  return new HttpError(403, "only its author may change a post", { code: "not_yours" });
}
