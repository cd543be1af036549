/** The keys that sign what a client is told of its position (consistency.ts). Every application must know them all. */
import { log } from "../ops/log.ts";
import type { Sql } from "../store/sql/sql.ts";

let given: readonly string[] = [];

/** Takes the operator's keys, and says at the start of an application what it means to have none. */
export function configurePositionKeys(config: {
  readonly command?: string;
  readonly positionKey?: readonly string[];
  readonly replicaUrl?: readonly string[];
}): void {
  given = config.positionKey ?? [];
  if (config.command !== "app" || given.length > 0 || !config.replicaUrl?.length) return;
  log.warn(
    {},
    "position cookies are signed with the database's password: who is sent one can try out guesses at that password on it. " +
      "Fix: SCALE_POSITION_KEY in the environment, or --position-key=@FILE, the same for every app",
  );
}

/** The first signs, each is believed. Without any, those who share a database's password share a key made of it. */
export function positionKeys(sql: Sql): readonly string[] {
  return given.length > 0 ? given : [sql.sharedSecret];
}
