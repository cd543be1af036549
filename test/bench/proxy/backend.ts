// The application that every proxy is measured in front of: the smallest that answers, and passes a health check.

import { bodyBytes, bodyPath } from "./body.ts";

const body = Buffer.alloc(bodyBytes, "x");

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  idleTimeout: 120,
  routes: {
    [bodyPath]: {
      GET: () => new Response(body),
      POST: async (request) => {
        await request.arrayBuffer();
        return new Response("ok");
      },
    },
  },
  fetch: () => new Response("ok"),
});
process.stdout.write(`${server.port}\n`);
