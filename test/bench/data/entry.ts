// The routes of data.ts as an application of scale writes them. The same answers as bare.ts and fastify.mjs.
import { app, cache, sql } from "scale";

interface Fortune {
  readonly id: number;
  readonly message: string;
}

const user = (id: string) => sql.read`select id, name, email from users where id = ${id}`;
const random = () => 1 + Math.floor(Math.random() * 10_000);
const world = async () => {
  const [row] = await sql.read`select id, randomnumber from world where id = ${random()}`;
  return row;
};
const escaped: { readonly [character: string]: string } = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
const escape = (text: string) => text.replaceAll(/[&<>"]/g, (character) => escaped[character]!);

export default app({
  routes: {
    "/cached/:id": ({ params }) => cache.get(`user:${params.id}`, { ttl: "1h" }, () => user(params.id)),
    "/users/:id": ({ params }) => user(params.id),
    "/posts": () =>
      sql.read`
        select p.id, p.title, p.content, p.views, p.created_at, u.id as author_id, u.name as author_name
        from posts p join users u on u.id = p.author_id order by p.created_at desc, p.id desc limit 100`,
    "/posts-json": () =>
      sql.json`
        select p.id::text, p.title, p.content, p.views, p.created_at, u.id::text as author_id, u.name as author_name
        from posts p join users u on u.id = p.author_id order by p.created_at desc, p.id desc limit 100`,
    "/db": world,
    "/queries": () => Promise.all(Array.from({ length: 20 }, world)),
    "/fortunes": async () => {
      const rows = await sql.read<Fortune>`select id, message from fortune`;
      const all = [...rows, { id: 0, message: "Additional fortune added at request time." }];
      all.sort((a, b) => (a.message < b.message ? -1 : 1));
      const cells = all.map(({ id, message }) => `<tr><td>${id}</td><td>${escape(message)}</td></tr>`).join("");
      const page = `<!DOCTYPE html><html><head><title>Fortunes</title></head><body><table>${cells}</table></body></html>`;
      return new Response(page, { headers: { "content-type": "text/html; charset=utf-8" } });
    },
  },
});
