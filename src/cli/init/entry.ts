// An application: routes for role app, jobs for role worker. Start both, and a balancer, with: scale dev entry.ts
import { app, cache, job, log } from "scale";

const greet = job("greet", ({ name }: { name: string }) => log.info({ name }, "hello from the worker"));

export default app({
  routes: {
    "/": () => new Response("It works. Try /hello/world and /time\n"),
    "/hello/:name": async (req) => {
      await greet.enqueue({ name: req.params.name });
      return { hello: req.params.name };
    },
    "/time": () => cache.get("time", { ttl: "5s" }, () => ({ now: new Date().toISOString() })),
  },
  jobs: [greet],
});
