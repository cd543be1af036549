/**
 * `scale doctor`: looks at what a service stands on before its users notice, and says what to do about it. Changes nothing. What is looked
 * at in PostgreSQL is doctor/database.ts, in Redis doctor/redis.ts.
 */
import type { Config } from "../config/options.ts";
import { ScaleError } from "../std/errors.ts";
import { databaseFindings } from "./doctor/database.ts";
import { redisFindings } from "./doctor/redis.ts";

export async function run(config: Config): Promise<number> {
  if (!config.database && !config.redis) {
    throw new ScaleError("usage", "scale doctor needs to be told what to look at", {
      hint: "scale doctor --database, scale doctor --redis, or both",
    });
  }
  const ofRedis = config.redis ? await redisFindings(config) : [];
  const ofDatabase = config.database ? await databaseFindings(config) : [];
  const findings = [...ofRedis, ...ofDatabase];
  for (const finding of findings) process.stdout.write(`\n${finding}\n`);
  return findings.length === 0 ? 0 : 1;
}
