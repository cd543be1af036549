// The application that every proxy is measured in front of: the smallest that answers, and passes a health check.
const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  idleTimeout: 120,
  fetch: () => new Response("ok"),
});
process.stdout.write(`${server.port}\n`);
