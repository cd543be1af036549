// The crash harness for minutes: `bun run bench crash --seconds=300 --seed=7 [--no-append-only]`. In the suite it runs for seconds.

import { crash } from "../harness/crash.ts";
import { judge } from "../harness/crash/judge.ts";

export const about = "producers, workers and Redis killed at random  [--seconds=120] [--seed=1] [--no-append-only]";

export async function run(args: readonly string[]): Promise<never> {
  const numberOf = (name: string, otherwise: number) =>
    Number(args.find((arg) => arg.startsWith(`--${name}=`))?.slice(name.length + 3) ?? otherwise);
  const appendOnly = !args.includes("--no-append-only");
  const report = await crash({ seed: numberOf("seed", 1), seconds: numberOf("seconds", 120), appendOnly });
  const again = report.executions.length - new Set(report.executions.map(({ job }) => job)).size;
  const counts = (["producer", "worker", "redis"] as const).map(
    (what) => `${what} ${report.kills.filter((kill) => kill.what === what).length}`,
  );
  process.stdout.write(
    `${report.acknowledged.size} jobs acknowledged, ${report.effects.size} with their effect, ${again} executions again; kills: ${counts.join(", ")}\n`,
  );
  const complaints = judge(report, appendOnly);
  for (const complaint of complaints) process.stdout.write(`✗ ${complaint}\n`);
  // The harness's PostgreSQL, which a suite shares, lives as long as this process.
  process.exit(complaints.length === 0 ? 0 : 1);
}
