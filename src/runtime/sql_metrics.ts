/** What the database's servers and their pools look like, read from plain numbers when scraped. */
import { collect, collectHistogram } from "../ops/metrics.ts";
import type { AbandonedCounts } from "../store/sql/abandoned.ts";
import type { ServerState, Sql } from "../store/sql/sql.ts";
import type { Operation } from "../store/sql/timings.ts";

const operations: readonly Operation[] = ["read", "write", "tx"];
const results: readonly (keyof AbandonedCounts)[] = ["unsent", "dropped", "cancelled", "closed"];

export function publishSqlMetrics(sql: Sql): void {
  const perServer =
    (read: (server: ServerState) => number | undefined) =>
    (report: (labels: { server: string }, value: number) => void) => {
      for (const server of sql.servers) {
        const value = read(server);
        if (value !== undefined) report({ server: server.name }, value);
      }
    };
  collect(
    "sql_connections",
    perServer(({ connections }) => connections),
  );
  collect(
    "sql_statements_running",
    perServer(({ running }) => running),
  );
  collect(
    "sql_statements_waiting",
    perServer(({ waiting }) => waiting),
  );
  collect(
    "sql_statements_total",
    perServer(({ begun }) => begun),
  );
  collect(
    "sql_replica_readable",
    perServer(({ replica }) => replica && Number(replica.isIn)),
  );
  collect(
    "sql_replica_lag_seconds",
    perServer(({ replica }) => replica && replica.lagMilliseconds / 1_000),
  );
  collect("sql_abandoned_total", (report) => {
    for (const { name, timings } of sql.servers) {
      for (const result of results) report({ server: name, result }, timings.abandoned[result]);
    }
  });
  collectHistogram("sql_wait_seconds", (report) => {
    for (const { name, timings } of sql.servers) report({ server: name }, timings.wait);
  });
  collectHistogram("sql_query_seconds", (report) => {
    for (const { name, timings } of sql.servers) {
      for (const operation of operations) report({ server: name, operation }, timings[operation]);
    }
  });
}
