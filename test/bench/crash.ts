// The crash harness for minutes: `bun run bench crash --seconds=300 --seed=7 --redis=sentinel-replicas`. In the suite it runs for seconds.

import { crash } from "../harness/crash.ts";
import { judge } from "../harness/crash/judge.ts";
import { type RedisForm, redisForms } from "../harness/crash/redis.ts";

export const about = `producers, workers and Redis killed at random  [--seconds=120] [--seed=1] [--redis=${Object.keys(redisForms).join("|")}]`;

export async function run(args: readonly string[]): Promise<never> {
  const valueOf = (name: string) => args.find((arg) => arg.startsWith(`--${name}=`))?.slice(name.length + 3);
  const redis = valueOf("redis") ?? "append-only";
  if (!isForm(redis)) throw new Error(`--redis is "${redis}", expected one of ${Object.keys(redisForms).join(", ")}`);
  const report = await crash({ seed: Number(valueOf("seed") ?? 1), seconds: Number(valueOf("seconds") ?? 120), redis });
  const again = report.executions.length - new Set(report.executions.map(({ job }) => job)).size;
  const counts = (["producer", "worker", "redis"] as const).map(
    (what) => `${what} ${report.kills.filter((kill) => kill.what === what).length}`,
  );
  process.stdout.write(
    `${report.acknowledged.size} jobs acknowledged, ${report.effects.size} with their effect, ${again} executions again; kills: ${counts.join(", ")}\n`,
  );
  const limited = Map.groupBy(report.executions, ({ kind }) => kind);
  process.stdout.write(
    `in order per key ${limited.get("in_order")?.length}, with a rate ${limited.get("rated")?.length}\n`,
  );
  const complaints = judge(report, redis);
  for (const complaint of complaints) process.stdout.write(`✗ ${complaint}\n`);
  // The harness's PostgreSQL, which a suite shares, lives as long as this process.
  process.exit(complaints.length === 0 ? 0 : 1);
}

function isForm(text: string): text is RedisForm {
  return Object.hasOwn(redisForms, text);
}
