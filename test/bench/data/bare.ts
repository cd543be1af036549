// What somebody writes by hand on Bun.serve, postgres.js and ioredis: no log, no metrics, no limits. The same answers as entry.ts.

import { Redis } from "ioredis";
import postgres from "postgres";

const sql = postgres(process.env["DATABASE_URL"]!, { max: 10, fetch_types: false, onnotice: () => {} });
const redis = new Redis(process.env["REDIS_URL"]!, { enableAutoPipelining: true });

const random = () => 1 + Math.floor(Math.random() * 10_000);
const world = async () => (await sql`select id, randomnumber from world where id = ${random()}`)[0];
const escaped: { readonly [character: string]: string } = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
const escape = (text: string) => text.replaceAll(/[&<>"]/g, (character) => escaped[character]!);

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  routes: {
    "/cached/:id": async ({ params }) => {
      const found = await redis.get(`user:${params.id}`);
      if (found !== null) return Response.json(JSON.parse(found));
      const rows = await sql`select id, name, email from users where id = ${params.id}`;
      await redis.set(`user:${params.id}`, JSON.stringify(rows), "EX", 3600);
      return Response.json(rows);
    },
    "/db": async () => Response.json(await world()),
    "/queries": async () => Response.json(await Promise.all(Array.from({ length: 20 }, world))),
    "/fortunes": async () => {
      const rows = await sql<{ id: number; message: string }[]>`select id, message from fortune`;
      const all = [...rows, { id: 0, message: "Additional fortune added at request time." }];
      all.sort((a, b) => (a.message < b.message ? -1 : 1));
      const cells = all.map(({ id, message }) => `<tr><td>${id}</td><td>${escape(message)}</td></tr>`).join("");
      const page = `<!DOCTYPE html><html><head><title>Fortunes</title></head><body><table>${cells}</table></body></html>`;
      return new Response(page, { headers: { "content-type": "text/html; charset=utf-8" } });
    },
  },
});
process.stdout.write(`${server.port}\n`);
