// The same routes on Node with Fastify and pg, at their documented best: a pool of the same size, named statements, response schemas.

import fastify from "fastify";
import { Pool } from "pg";

const pool = new Pool({ connectionString: process.env.DATABASE_URL, max: 10 });
const app = fastify({ logger: false });
const text = { type: "string" };
const whole = { type: "integer" };
/** @param {object} properties */
const list = (properties) => ({ response: { 200: { type: "array", items: { type: "object", properties } } } });

const userSchema = list({ id: text, name: text, email: text });
const user = "select id, name, email from users where id = $1";
app.get("/users/:id", { schema: userSchema }, (request) =>
  rows({ name: "user", text: user, values: [request.params.id] }),
);

const author = { author_id: text, author_name: text };
const postSchema = list({ id: text, title: text, content: text, views: whole, created_at: text, ...author });
const posts = `
  select p.id, p.title, p.content, p.views, p.created_at, u.id as author_id, u.name as author_name
  from posts p join users u on u.id = p.author_id order by p.created_at desc, p.id desc limit 100`;
app.get("/posts", { schema: postSchema }, () => rows({ name: "posts", text: posts }));

await app.listen({ host: "127.0.0.1", port: 0 });
process.stdout.write(`${app.server.address().port}\n`);

/** @param {import("pg").QueryConfig} query */
async function rows(query) {
  const { rows: found } = await pool.query(query);
  return /** @type {unknown[]} */ (found);
}
