/** The one table of metrics: what scale itself publishes, and how the numbers of several processes become one. Publishing is metrics.ts. */
export interface Definition {
  readonly type: "counter" | "gauge" | "histogram";
  readonly help: string;
  readonly labels?: readonly string[];
  readonly buckets?: readonly number[];
  /** How the numbers of several processes become one; the sum unless said. */
  readonly across?: Across;
}

/** "supervisor": the supervisor's own is the number of the whole. */
type Across = "sum" | "min" | "max" | "supervisor";

/** Every metric scale itself publishes; docs/OPERATING.md lists them from here. */
export const metricTable = {
  // every role
  http_requests_total: { type: "counter", help: "Requests answered", labels: ["method", "route", "status"] },
  http_request_duration_seconds: {
    type: "histogram",
    help: "Time from the request's head to the end of its response",
    labels: ["method", "route"],
  },
  process_cpu_seconds_total: { type: "counter", help: "User and system CPU time spent" },
  process_resident_memory_bytes: { type: "gauge", help: "Resident memory" },
  process_start_time_seconds: { type: "gauge", help: "Start time since the Unix epoch", across: "supervisor" },
  process_open_fds: { type: "gauge", help: "Open file descriptors" },
  scale_build_info: {
    type: "gauge",
    help: "1, labelled with version and role",
    labels: ["version", "role"],
    across: "supervisor",
  },
  scale_ready: { type: "gauge", help: "1 while /readyz answers 200", across: "supervisor" },
  scale_log_lines_dropped_total: { type: "counter", help: "Log lines lost because nobody read stdout" },
  // role lb
  lb_connections_open: { type: "gauge", help: "Client connections open" },
  lb_connections_accepted_total: { type: "counter", help: "Client connections accepted" },
  lb_connections_refused_total: {
    type: "counter",
    help: "Client connections closed at once, by reason: connections_max, connections_per_client_max, proxy_header (missing or malformed)",
    labels: ["reason"],
  },
  lb_bytes_total: { type: "counter", help: "Bytes on client connections, received and sent", labels: ["direction"] },
  lb_tunnels_open: { type: "gauge", help: "Connections that switched protocols, such as WebSockets" },
  lb_tunnels_total: { type: "counter", help: "Requests that became a tunnel" },
  lb_requests_in_flight: { type: "gauge", help: "Requests being handled" },
  lb_requests_limited_total: {
    type: "counter",
    help: "Requests answered 429, by limit: rate (--rate-limit), concurrency (--requests-per-client-max)",
    labels: ["limit"],
  },
  lb_retries_total: { type: "counter", help: "Requests sent again, by what went wrong before", labels: ["reason"] },
  lb_retries_refused_total: { type: "counter", help: "Requests not sent again because the retry budget was used up" },
  lb_retry_budget: { type: "gauge", help: "Retries that the budget has left" },
  lb_targets: { type: "gauge", help: "Targets by state of health", labels: ["service", "state"], across: "supervisor" },
  lb_service_panic: {
    type: "gauge",
    help: "1 while so few targets are healthy that all are used",
    labels: ["service"],
    across: "supervisor",
  },
  lb_target_ejections_total: {
    type: "counter",
    help: "Times the target was taken out because requests failed",
    labels: ["service", "target"],
    across: "supervisor",
  },
  lb_target_healthy: {
    type: "gauge",
    help: "1 while the target is healthy",
    labels: ["service", "target"],
    across: "supervisor",
  },
  lb_target_requests_in_flight: {
    type: "gauge",
    help: "Requests the target is handling",
    labels: ["service", "target"],
  },
  lb_target_requests_total: { type: "counter", help: "Requests given to the target", labels: ["service", "target"] },
  lb_target_responses_total: {
    type: "counter",
    help: "Requests the target itself answered",
    labels: ["service", "target"],
  },
  lb_target_connects_total: {
    type: "counter",
    help: "Connections opened to the target",
    labels: ["service", "target"],
  },
  lb_target_connect_failures_total: {
    type: "counter",
    help: "Connections that failed to open",
    labels: ["service", "target"],
  },
  lb_target_connections_open: { type: "gauge", help: "Connections to the target", labels: ["service", "target"] },
  lb_connect_seconds: {
    type: "histogram",
    help: "Time until a request had a connection to its target, over all it was tried on; 0 where one was kept",
    labels: ["service"],
  },
  lb_first_byte_seconds: {
    type: "histogram",
    help: "Time from then until the target's response began",
    labels: ["service"],
  },
  lb_queue_depth: { type: "gauge", help: "Requests that wait for a target to have room", labels: ["service"] },
  lb_queue_shed_total: {
    type: "counter",
    help: "Requests answered 503 because the queue was full, or their time in it was over",
    labels: ["service", "reason"],
  },
  lb_queue_wait_seconds: { type: "histogram", help: "Time in the queue of requests that waited", labels: ["service"] },
  // role app
  app_requests_in_flight: { type: "gauge", help: "Requests being handled" },
  app_requests_shed_total: { type: "counter", help: "Requests answered 503 because too many were in flight" },
  app_requests_timed_out_total: { type: "counter", help: "Requests answered 503 because --request-timeout passed" },
  // stores, in role app and role worker
  store_up: { type: "gauge", help: "1 if the store answered its last probe", labels: ["store"], across: "min" },
  sql_connections: { type: "gauge", help: "Connections to a PostgreSQL server", labels: ["server"] },
  sql_statements_running: { type: "gauge", help: "Statements sent and not answered", labels: ["server"] },
  sql_statements_waiting: { type: "gauge", help: "Statements that wait for a connection", labels: ["server"] },
  sql_statements_total: { type: "counter", help: "Statements and transactions begun", labels: ["server"] },
  sql_wait_seconds: {
    type: "histogram",
    help: "Time that statements and transactions waited for a connection, of those that had to",
    labels: ["server"],
  },
  sql_query_seconds: {
    type: "histogram",
    help: "Time the application's statements took once they had a connection, by operation: read, write, tx (all of a transaction)",
    labels: ["server", "operation"],
  },
  sql_abandoned_total: {
    type: "counter",
    help: "Statements whose client had left or whose time was up, by what became of them: unsent (left the queue for a connection), cancelled (at the server), dropped (answered, and nobody heard), closed (with their connection)",
    labels: ["server", "result"],
  },
  sql_replica_readable: { type: "gauge", help: "1 while the replica is read from", labels: ["server"], across: "min" },
  sql_replica_lag_seconds: {
    type: "gauge",
    help: "How far the replica is behind, at its last poll",
    labels: ["server"],
    across: "max",
  },
  sql_repeated_statements_total: {
    type: "counter",
    help: "Statements sent more than ten times for one answer (N+1)",
  },
  cache_operations_total: {
    type: "counter",
    help: "Cache look-ups by outcome: local (kept in the process), hit, stale, miss, coalesced, error",
    labels: ["outcome"],
  },
  queue_jobs: {
    type: "gauge",
    help: "Jobs of a queue by state: waiting, parked (waiting for its key, or a limit of its job), delayed, running, dead, done (completed or cancelled, and kept); at most 5 s old",
    labels: ["queue", "state"],
    across: "max",
  },
  queue_oldest_seconds: {
    type: "gauge",
    help: "Time the oldest waiting job has waited",
    labels: ["queue"],
    across: "max",
  },
  queue_waiting_jobs: {
    type: "gauge",
    help: "Waiting jobs of a queue by priority: high, normal, low; at most 5 s old",
    labels: ["queue", "priority"],
    across: "max",
  },
  queue_paused: { type: "gauge", help: "1 while the queue is paused", labels: ["queue"], across: "max" },
  // role worker
  jobs_processed_total: {
    type: "counter",
    help: "Deliveries by result: completed, retried, discarded, cancelled, postponed, released, lost",
    labels: ["queue", "job", "result"],
  },
  job_duration_seconds: { type: "histogram", help: "Time a handler ran", labels: ["queue", "job"] },
  job_wait_seconds: {
    type: "histogram",
    help: "Time from when a job was available to when it started",
    labels: ["queue", "job"],
  },
  jobs_recovered_total: { type: "counter", help: "Jobs taken over from a worker that went silent" },
  worker_blocked_total: { type: "counter", help: "Times a job kept the event loop so long that the heartbeat noticed" },
  worker_slots: { type: "gauge", help: "Jobs run at a time (--concurrency)" },
  worker_slots_used: { type: "gauge", help: "Jobs running" },
  worker_leader: { type: "gauge", help: "1 in the worker that fires the schedules" },
  schedule_ticks_total: { type: "counter", help: "Ticks this worker fired", labels: ["schedule"] },
  outbox_relayed_total: { type: "counter", help: "Outbox rows moved to where they belong", labels: ["kind"] },
  outbox_rows: { type: "gauge", help: "Outbox rows that wait to be moved, up to 100,000; at most 5 s old" },
  outbox_oldest_seconds: { type: "gauge", help: "Age of the oldest outbox row: the relay's lag" },
  // enqueueing, in role app and role worker
  jobs_enqueued_total: { type: "counter", help: "Jobs the queue has taken", labels: ["job"] },
} as const satisfies { readonly [name: string]: Definition };
