/** The binary on Redis in its production forms: behind Sentinels, as a Cluster, and with TLS to each. What the drivers promise is the contract suites'. */
import { expect, setDefaultTimeout, test } from "bun:test";

import { openQueue } from "../../src/store/queue/open.ts";
import { eventually } from "../harness/eventually.ts";
import { runScale, startScale } from "../harness/process.ts";
import { freshNamespace } from "../harness/redis.ts";
import { sharedRedisCluster } from "../harness/redis_cluster.ts";
import { startTlsRedis } from "../harness/redis_tls.ts";
import { sharedSentinels } from "../harness/sentinels.ts";
import { freshTrace, readTrace } from "../harness/trace.ts";

setDefaultTimeout(60_000);

const forms = [
  {
    form: "sentinels",
    start: async () => {
      const sentinels = await sharedSentinels();
      const { url } = sentinels;
      return { url, told: `127.0.0.1:${(await sentinels.primary()).port}, main of the Sentinels 127.0.0.1:` };
    },
  },
  {
    form: "cluster",
    start: async () => {
      const { url } = await sharedRedisCluster();
      return { url, told: "a Redis Cluster with the primaries 127.0.0.1:" };
    },
  },
];

test.each(forms)(
  "a worker on $form runs jobs, and tells operators which servers its stores are on, but no password",
  async ({ start }) => {
    const { url, told } = await start();
    const namespace = freshNamespace();
    const entry = `${import.meta.dir}/fixtures/jobs.ts`;
    const flags = ["--role=worker", entry, `--namespace=${namespace}`];
    await using worker = await startScale(flags, { env: { REDIS_URL: url } });
    const queue = openQueue(url, { namespace });
    const file = freshTrace();
    await queue.enqueue("default", [{ name: "work", payload: JSON.stringify({ file }) }]);
    await eventually(() => readTrace(file).some(({ event }) => event === "end"));
    await queue.close();

    const response = await fetch(`${worker.adminUrl}/readyz`, { keepalive: false });
    const { places } = (await response.json()) as { readonly places: { readonly [store: string]: string } };
    expect(places["kv"]).toStartWith(told);
    expect(places["queue"]).toStartWith(told);
    const log = worker.log().join("\n");
    expect(log).toContain(`store queue is at ${told}`);
    expect(log).not.toMatch(/harness(@|%40)/);
  },
);

test("TLS is spoken to one server, through Sentinels and to a Cluster, and to none whose authority is not known", async () => {
  const tls = await startTlsRedis();
  try {
    for (const [form, url] of Object.entries(tls.urls)) {
      const known = { REDIS_URL: url, NODE_EXTRA_CA_CERTS: tls.authority };
      expect([form, await runScale(["jobs", "stats"], { env: known })]).toMatchObject([form, { code: 0, stderr: "" }]);
      const refused = await runScale(["jobs", "stats"], { env: { REDIS_URL: url } });
      expect([form, refused]).toMatchObject([form, { code: 1 }]);
      expect(refused.stderr).not.toContain("harness-tls");
    }
  } finally {
    await tls.remove();
  }
});
