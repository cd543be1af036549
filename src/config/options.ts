/**
 * The one table of options. Flags, environment variables, scale.toml, --help, --print-config and the reference in docs/OPERATING.md
 * are renderings of it. Reading the three sources is load.ts; nothing here touches argv, the environment or a file.
 *
 * A key healthInterval is the flag --health-interval, the variable SCALE_HEALTH_INTERVAL and the line health-interval = "2s".
 */
import type { Cidr } from "../std/cidr.ts";
import type { HostPort } from "../std/units.ts";
import * as kind from "./kinds.ts";
import type { Routes, ServiceEntry } from "./services.ts";
import { postgresUrl, redisUrl, replicaUrl } from "./store_kinds.ts";

export const roles = ["lb", "app", "worker"] as const;
export const tools = ["dev", "migrate", "init", "jobs", "doctor", "postgres", "control"] as const;
export type Role = (typeof roles)[number];
export type Tool = (typeof tools)[number];
/** A tool's word on the command line, where that is not its name. */
const words: { readonly [T in Tool]?: string } = { control: "lb" };
/** What the command line asked for: a role or a tool. */
export type Command = Role | Tool;

/** Several defaults where commands differ; "*" is for the others. */
type Defaults = { readonly [C in Command | "*"]?: string };

export interface Option<T = unknown> {
  readonly parse: (text: string) => T;
  /** The form of a value in --help: HOST:PORT, DURATION. */
  readonly form: string;
  /** Written as a user would write it, and parsed like it. */
  readonly default?: string | Defaults;
  readonly help: string;
  readonly commands: readonly Command[];
  /** Bare environment variables of the field, which SCALE_<NAME> beats. */
  readonly env?: readonly string[];
  /** Who reads `env`, where that is not every command that has the option. */
  readonly envCommands?: readonly Command[];
  /** May be given several times; in the environment separated by white space. */
  readonly many?: true;
  /** Given by scale to its own children; no user is told of it. */
  readonly internal?: true;
  /** Given alone it means "on". */
  readonly switch?: true;
  /** A service in scale.toml may have its own. */
  readonly perService?: true;
  /** A URL that may hold a password, or a secret as a whole: masked in print, warned about in argv, and @FILE reads it from a file. */
  readonly secret?: "password" | "whole";
  /** A limit of the whole role on this machine: with --processes each process gets its part of it (divide.ts). */
  readonly divided?: true;
}

const everyone: readonly Command[] = [...roles, ...tools];
const serving: readonly Command[] = [...roles, "dev"];
const runtime: readonly Command[] = ["app", "worker", "dev"];
const queueing: readonly Command[] = [...runtime, "jobs"];

export const options = {
  // Listening
  listen: {
    ...kind.hostPort("127.0.0.1"),
    default: { lb: "0.0.0.0:8080", app: "127.0.0.1:3000", dev: "127.0.0.1:8080", postgres: "127.0.0.1:0" },
    env: ["PORT"],
    // A platform gives it to the one process that the public reaches.
    envCommands: ["lb", "app", "dev"],
    commands: ["lb", "app", "dev", "postgres"],
    help: "address of the public listener; port 0 takes a free one",
  },
  admin: {
    ...kind.hostPort("127.0.0.1"),
    default: "127.0.0.1:0",
    commands: serving,
    help: "address of /healthz, /readyz and /metrics; port 0 takes a free one, printed and kept in the run directory",
  },
  runDir: {
    ...kind.path,
    default: ".scale/run",
    commands: [...serving, "control", "doctor"],
    help: "directory in which a running process leaves its addresses",
  },
  control: {
    ...kind.path,
    commands: ["lb", "control"],
    help: "unix socket for scale lb VERB (default: lb-PID.sock in the run directory)",
  },
  instance: {
    ...kind.text,
    commands: roles,
    help: "name of this process in logs and in X-Served-By (default: role and process id)",
  },
  trustedProxies: {
    ...kind.cidr,
    default: "127.0.0.0/8 ::1/128",
    many: true,
    commands: ["lb", "app", "dev"],
    help: "networks whose X-Forwarded-* are believed",
  },
  proxyProtocol: {
    ...kind.onOff,
    default: "off",
    switch: true,
    commands: ["lb"],
    help: "connections from --trusted-proxies begin with a PROXY protocol header (version 1 or 2) that says whose they are",
  },
  traceSample: {
    ...kind.share,
    default: "1",
    commands: ["lb"],
    help: "share of the traces begun here (no valid traceparent came) that are marked as sampled",
  },
  publicUrl: {
    ...kind.httpUrl,
    commands: ["app", "worker", "dev"],
    help: "the address users type: decides the session cookie's name and Secure, Origin checks and absolute links",
  },

  processes: {
    ...kind.processes,
    default: "1",
    commands: roles,
    help: "processes that serve as one: they share the port, and a supervisor keeps them running and answers --admin for all; auto: one a processor",
  },
  startTimeout: {
    ...kind.duration("0", "24d"),
    default: "5m",
    commands: roles,
    help: "time that each of several --processes has to become ready, migrations and stores that are away included; then it is ended and started again; 0: as long as it takes",
  },
  takeover: {
    ...kind.onOff,
    default: "off",
    switch: true,
    commands: ["lb"],
    help: "replace the balancer of --run-dir that listens on --listen: join its port, then let it drain; without one, an ordinary start",
  },
  child: {
    ...kind.place,
    internal: true,
    commands: roles,
    help: "which of --processes this one is; only the supervisor gives it",
  },

  // Balancing
  backend: {
    ...kind.backend,
    many: true,
    commands: ["lb"],
    help: "an application server; weight=N sends it N times the share of weight 1, max_connections=N at most N requests at a time",
  },
  fileServices: {
    ...kind.onOff,
    default: "on",
    switch: true,
    commands: ["lb"],
    help: "serve the services and redirects of the file; off: only --backend",
  },
  balance: {
    ...kind.choice("round_robin", "least_connections", "two_choices", "ip_hash"),
    default: "round_robin",
    commands: ["lb"],
    perService: true,
    help: "how a target is picked: in turn by weight, the least busy, the less busy of two, or by the client's address",
  },
  stickyCookie: {
    ...kind.cookieName,
    commands: ["lb"],
    perService: true,
    help: "name of a cookie that brings a client back to its target while that is routed to; without it none is set",
  },
  stickyKey: {
    ...kind.key,
    secret: "whole",
    commands: ["lb"],
    help: "signs the sticky cookie, the same for every balancer of a service (default: random at each start)",
  },
  queueDepthMax: {
    ...kind.count(0, 1_000_000),
    default: "1000",
    commands: ["lb"],
    perService: true,
    help: "requests of a service that may wait while it is paused or its targets are full; one more is answered with 503",
  },
  queueTimeout: {
    ...kind.duration("1ms", "24d"),
    default: "10s",
    commands: ["lb"],
    perService: true,
    help: "time a request waits there until it is answered with 503",
  },
  healthPath: {
    ...kind.requestPath,
    default: "/readyz",
    commands: ["lb"],
    perService: true,
    help: "path that health checks ask for",
  },
  healthMethod: {
    ...kind.choice("GET", "HEAD", "OPTIONS"),
    default: "GET",
    commands: ["lb"],
    perService: true,
    help: "method that they ask with",
  },
  healthStatus: {
    ...kind.statusRanges,
    default: "200-299",
    commands: ["lb"],
    perService: true,
    help: "statuses that pass",
  },
  healthInterval: {
    ...kind.duration("10ms", "1h"),
    default: { "*": "2s", dev: "250ms" },
    commands: ["lb", "dev"],
    perService: true,
    help: "pause between two checks of one target",
  },
  healthTimeout: {
    ...kind.duration("1ms", "1h"),
    default: "2s",
    commands: ["lb"],
    perService: true,
    help: "a check that takes longer has failed",
  },
  healthRise: {
    ...kind.count(1, 100),
    default: "2",
    commands: ["lb"],
    perService: true,
    help: "passes in a row that make a target healthy",
  },
  healthFall: {
    ...kind.count(1, 100),
    default: "3",
    commands: ["lb"],
    perService: true,
    help: "failures in a row that make a target unhealthy",
  },
  ejectionErrors: {
    ...kind.count(0, 1_000),
    default: "5",
    commands: ["lb"],
    perService: true,
    help: "requests in a row that fail (no connection, no answer, 502, 503, 504) and take a target out; 0: they never do",
  },
  ejectionTime: {
    ...kind.duration("1ms", "24d"),
    default: "30s",
    commands: ["lb"],
    perService: true,
    help: "how long the first time, where no check passes before; the next in a row lasts as much longer again",
  },
  ejectionTimeMax: {
    ...kind.duration("1ms", "24d"),
    default: "300s",
    commands: ["lb"],
    perService: true,
    help: "how long at most",
  },
  ejectionPercentMax: {
    ...kind.count(0, 100),
    default: "50",
    commands: ["lb"],
    perService: true,
    help: "part of the targets that may be taken out this way at a time; never the last healthy one",
  },
  panicPercent: {
    ...kind.count(0, 100),
    default: "50",
    commands: ["lb"],
    perService: true,
    help: "when fewer of the targets are healthy, all are used; 0: never",
  },
  slowStart: {
    ...kind.duration("0", "24d"),
    default: "10s",
    commands: ["lb"],
    perService: true,
    help: "time in which a target that joins or returns beside warm ones goes from a tenth of its share to all of it; 0: none",
  },
  connectTimeout: {
    ...kind.duration("1ms", "24d"),
    default: "3s",
    commands: ["lb"],
    help: "time to connect to a target",
  },
  firstByteTimeout: {
    ...kind.duration("1ms", "24d"),
    default: "30s",
    commands: ["lb"],
    help: "time from the end of a request to the head of its response; long polls need more than they wait",
  },
  responseIdleTimeout: {
    ...kind.duration("0", "24d"),
    default: "60s",
    commands: ["lb"],
    help: "time a target may be silent within a response, event streams too, or take none of a request's body; 0: any time",
  },
  headerTimeout: {
    ...kind.duration("1ms", "24d"),
    default: "10s",
    commands: ["lb"],
    help: "time a client has to send a whole request head",
  },
  bodyTimeout: {
    ...kind.duration("1ms", "24d"),
    default: "30s",
    commands: ["lb"],
    help: "time a client may take no byte of a response, or send none of a request's body",
  },
  bodyBytesPerSecondMin: {
    ...kind.bytes,
    default: "240B",
    commands: ["lb"],
    help: "a client that sends or takes a body slower than this, over --body-timeout, is closed; 0: any byte is enough",
  },
  keepAliveTimeout: {
    ...kind.duration("1ms", "24d"),
    default: "75s",
    commands: ["lb"],
    help: "time an idle client connection stays open",
  },
  tunnelIdleTimeout: {
    ...kind.duration("1ms", "24d"),
    default: "10m",
    commands: ["lb"],
    help: "time a WebSocket, or another tunnel, may be silent in both directions",
  },
  tunnelDrainTimeout: {
    ...kind.duration("0", "24d"),
    default: "10s",
    commands: ["lb"],
    help: "time tunnels have to end when their target, or the balancer, drains",
  },
  upstreamKeepAliveTimeout: {
    ...kind.duration("1ms", "24d"),
    default: "60s",
    commands: ["lb"],
    help: "time an idle connection to a target stays pooled; an app's --idle-timeout must be longer",
  },
  upstreamIdleMax: {
    ...kind.count(0, 100_000),
    default: "256",
    divided: true,
    commands: ["lb"],
    help: "idle connections kept for each target",
  },
  headBytesMax: { ...kind.bytes, default: "32KiB", commands: ["lb"], help: "largest request or response head" },
  headFieldsMax: { ...kind.count(1, 10_000), default: "100", commands: ["lb"], help: "most fields in a head" },
  targetBytesMax: { ...kind.bytes, default: "8KiB", commands: ["lb"], help: "longest request target" },
  connectionsMax: {
    ...kind.count(1, 1_000_000),
    default: "15000",
    divided: true,
    commands: ["lb"],
    help: "most client connections at a time, or what the limit of open files leaves room for",
  },
  connectionsPerClientMax: {
    ...kind.count(0, 1_000_000),
    default: "0",
    divided: true,
    commands: ["lb"],
    help: "most connections of one address (of IPv6: of one /64), trusted proxies aside; 0: no limit but --connections-max",
  },
  requestsPerConnectionMax: {
    ...kind.count(1, 1_000_000_000),
    default: "10000",
    commands: ["lb"],
    help: "requests after which a client has to connect again, which spreads clients anew",
  },
  retriesMax: {
    ...kind.count(0, 10),
    default: "2",
    commands: ["lb"],
    help: "further attempts when one fails: of any request that was not sent, of a safe one that was not answered",
  },
  retryStatuses: {
    ...kind.retryStatuses,
    default: "none",
    commands: ["lb"],
    help: "statuses after which a safe request is tried on another target: some of 502,503,504, or none",
  },
  retryPercentMax: {
    ...kind.count(0, 100),
    default: "20",
    commands: ["lb"],
    help: "retries for each hundred requests, one budget for all",
  },
  retriesPerSecondMin: {
    ...kind.count(0, 100_000),
    default: "10",
    divided: true,
    commands: ["lb"],
    help: "retries a second that the budget allows beside that share; ten seconds of them can be saved up",
  },
  replayBytesMax: {
    ...kind.bytes,
    default: "64KiB",
    commands: ["lb"],
    help: "what is kept of a request's body so that it can be sent again; a longer one cannot",
  },

  rateLimit: {
    ...kind.rateLimit,
    commands: ["lb"],
    help: "most requests of one client, such as 100/s, 600/m,burst=50 or 10/s,by=header:X-Api-Key; more is answered with 429",
  },
  requestsPerClientMax: {
    ...kind.count(0, 1_000_000),
    default: "0",
    divided: true,
    commands: ["lb"],
    help: "requests of one client address handled at a time; one more is answered with 429; 0: as many as come",
  },

  // Stores
  databaseUrl: {
    ...postgresUrl,
    env: ["DATABASE_URL"],
    secret: "password",
    commands: [...runtime, "migrate", "doctor"],
    help: "PostgreSQL of the application; several hosts (A:5432,B:5432) for a primary that may change; ?pgbouncer=true for a PgBouncer in transaction mode",
  },
  replicaUrl: {
    ...replicaUrl,
    env: ["REPLICA_URL"],
    secret: "password",
    many: true,
    commands: runtime,
    help: "a streaming standby of --database-url, to read from; a client still sees what it wrote",
  },
  positionKey: {
    ...kind.key,
    secret: "whole",
    many: true,
    commands: ["app"],
    help: "signs the position cookie, the same for every app; several: the first signs, all are believed (default: made of the database's password)",
  },
  redisUrl: {
    ...redisUrl,
    env: ["REDIS_URL"],
    secret: "password",
    commands: [...queueing, "doctor"],
    help: "cache, sessions and queue in one: redis:// (rediss:// with TLS), redis+sentinel://A,B,C/NAME, redis+cluster://A,B,C, or file:PATH on one machine",
  },
  cacheUrl: {
    ...redisUrl,
    env: ["CACHE_URL"],
    secret: "password",
    commands: [...runtime, "doctor"],
    help: "cache and sessions, if not --redis-url",
  },
  queueUrl: {
    ...redisUrl,
    env: ["QUEUE_URL"],
    secret: "password",
    commands: [...queueing, "doctor"],
    help: "queue, if not --redis-url; a Redis for it must not evict",
  },
  cacheTimeout: {
    ...kind.duration("1ms", "1m"),
    default: "50ms",
    commands: runtime,
    help: "time the store may take for one step of cache.get before the value is loaded without it",
  },
  cacheLocalBytesMax: {
    ...kind.bytes,
    default: "32MiB",
    commands: runtime,
    help: "what one process keeps of the cache in its own memory, for cache.get with local",
  },
  cacheOutcomes: {
    ...kind.choice("count", "show"),
    default: "count",
    commands: ["app"],
    help: "show: say in Server-Timing how each answer's look-ups in the cache ended",
  },
  namespace: {
    ...kind.name,
    default: "scale",
    commands: [...queueing, "doctor"],
    help: "prefix of every key, so that two applications can share a Redis",
  },
  sqlPoolMax: {
    ...kind.count(1, 1_000),
    default: "10",
    commands: runtime,
    help: "connections to PostgreSQL, and to each replica; half as many more to the primary while no replica may serve",
  },
  sqlPipelineMax: {
    ...kind.count(1, 64),
    default: "4",
    commands: runtime,
    help: "statements sent to one connection before it has answered; 1: a short one never waits behind a long one",
  },
  sqlWaitTimeout: {
    ...kind.duration("1ms", "1h"),
    default: "5s",
    commands: runtime,
    help: "time a statement waits for a connection before it fails with 503",
  },
  replicaLagMax: {
    ...kind.duration("1ms", "30s"),
    default: "10s",
    commands: runtime,
    help: "a replica further behind is not read from until it has caught up",
  },
  sqlStatementTimeout: {
    ...kind.duration("0", "24d"),
    default: "30s",
    commands: runtime,
    help: "a statement that runs longer is cancelled by the server; a connection that owes an answer 5 s longer is given up; 0: none is",
  },
  repeatedStatements: {
    ...kind.choice("count", "warn"),
    default: "count",
    commands: ["app"],
    help: "warn: say where one answer sends the same statement more than ten times (N+1), and in Server-Timing",
  },
  migrate: {
    ...kind.choice("check", "auto"),
    default: "check",
    commands: ["app"],
    help: "auto: apply pending migrations at start; check: refuse to be ready",
  },

  // Serving
  requestTimeout: {
    ...kind.duration("1ms", "24d"),
    // Before a balancer gives up at 30 s: the application knows better what to say.
    default: "25s",
    commands: ["app", "dev"],
    help: "a handler that takes longer is aborted and answered with 503",
  },
  requestsInFlightMax: {
    ...kind.count(1, 1_000_000),
    default: "1000",
    commands: ["app"],
    help: "requests handled at a time; one more is answered with 503",
  },
  bodyBytesMax: {
    ...kind.bytesOrAny,
    default: { "*": "1MiB", lb: "0" },
    commands: ["lb", "app", "dev"],
    help: "largest request body; 0: any, which a balancer leaves to its applications",
  },
  idleTimeout: {
    ...kind.duration("1s", "255s"),
    default: "75s",
    commands: ["app"],
    help: "time an idle connection stays open; longer than a balancer pools it",
  },
  staticDir: {
    ...kind.path,
    commands: ["app", "dev"],
    help: "directory of static files (default: public beside the entry)",
  },
  servedBy: {
    ...kind.onOff,
    default: { "*": "off", dev: "on" },
    switch: true,
    commands: ["app"],
    help: "send X-Served-By with the instance's name",
  },
  sessionIdleTimeout: {
    ...kind.duration("1s", "3650d"),
    default: "14d",
    commands: ["app", "dev"],
    help: "a session unused for this long ends",
  },
  sessionLifetime: {
    ...kind.duration("1s", "3650d"),
    default: "90d",
    commands: ["app", "dev"],
    help: "a session this old ends",
  },
  sessionRotation: {
    ...kind.duration("1s", "3650d"),
    default: "1d",
    commands: ["app", "dev"],
    help: "a session's id this old is replaced by another; the old one counts until the browser has the new one, and 10 s more",
  },
  sessionsPerUserMax: {
    ...kind.count(1, 1_000),
    default: "100",
    commands: ["app", "dev"],
    help: "sessions of one user; one more ends the one that was used the longest ago",
  },

  // Jobs
  concurrency: { ...kind.count(1, 10_000), default: "10", commands: ["worker", "dev"], help: "jobs run at a time" },
  prefetch: {
    ...kind.count(0, 10_000),
    commands: ["worker"],
    help: "jobs held beyond those running (default: 64, or twice --concurrency where that is more)",
  },
  jobPayloadBytesMax: {
    ...kind.bytes,
    default: "256KiB",
    commands: runtime,
    help: "largest payload of a job, as JSON",
  },
  queueDurability: {
    ...kind.choice("memory", "replicas"),
    default: "memory",
    commands: runtime,
    help: "what enqueueing waits for: the queue's memory, or one replica of its Redis that has it too",
  },
  strict: {
    ...kind.onOff,
    default: "off",
    switch: true,
    commands: ["worker"],
    help: "refuse to start on a Redis that may lose jobs: one that evicts, or has no append-only file",
  },
  jobLease: {
    ...kind.duration("100ms", "24d"),
    default: "10s",
    commands: ["worker"],
    help: "a worker silent for this long loses its jobs to another",
  },

  jobCompletedMax: {
    ...kind.count(0, 1_000_000),
    default: "1000",
    commands: ["worker", "dev"],
    help: "completed and cancelled jobs kept to be looked at, of each queue",
  },
  jobCompletedAge: {
    ...kind.duration("0", "365d"),
    default: "1d",
    commands: ["worker", "dev"],
    help: "time a completed or cancelled job is kept, where the job does not say; 0: it is not",
  },
  jobDeadMax: {
    ...kind.count(1, 1_000_000),
    default: "10000",
    commands: ["worker", "dev"],
    help: "dead letters kept, of each queue; the oldest make room",
  },
  jobDeadAge: {
    ...kind.duration("1s", "3650d"),
    default: "30d",
    commands: ["worker", "dev"],
    help: "time a dead letter is kept",
  },

  // Stopping
  drainDelay: {
    ...kind.duration("0", "24d"),
    default: "3s",
    commands: ["app"],
    help: "time between turning not ready and closing, for balancers to notice; 0: none",
  },
  drainTimeout: {
    ...kind.duration("0", "24d"),
    default: "25s",
    commands: roles,
    help: "time that work under way has to finish after SIGTERM; 0: none",
  },

  stopWithParent: {
    ...kind.parent,
    default: "off",
    switch: true,
    commands: [...roles, "postgres", "dev"],
    help: "drain when the process that started this one is gone; PID: also when it was before this one looked",
  },

  // Watching
  logLevel: {
    ...kind.choice("debug", "info", "warn", "error", "silent"),
    default: "info",
    env: ["LOG_LEVEL"],
    commands: everyone,
    help: "least severe line that is logged",
  },
  logFormat: {
    ...kind.choice("auto", "json", "pretty"),
    default: "auto",
    commands: everyone,
    help: "auto: pretty on a terminal, JSON elsewhere",
  },
  redact: {
    ...kind.text,
    many: true,
    commands: everyone,
    help: "a field whose value is not shown in logs, on pages and by scale jobs, besides passwords, tokens, cookies and keys",
  },
  accessLog: { ...kind.onOff, default: "on", switch: true, commands: serving, help: "one line a request or job" },

  // Tools
  apps: { ...kind.count(1, 64), default: "2", commands: ["dev"], help: "application servers to start" },
  watch: { ...kind.onOff, default: "on", switch: true, commands: ["dev"], help: "reload on save" },
  dataDir: {
    ...kind.path,
    default: { dev: ".scale", postgres: ".scale/postgres" },
    commands: ["dev", "postgres"],
    help: "directory of the embedded stores",
  },
  status: {
    ...kind.onOff,
    default: "off",
    switch: true,
    commands: ["migrate"],
    help: "list migrations and change nothing",
  },
  dryRun: {
    ...kind.onOff,
    default: "off",
    switch: true,
    commands: ["migrate"],
    help: "print what would run and change nothing",
  },
  demoData: { ...kind.demoData, commands: ["migrate"], help: "fill the demo's tables, e.g. users:10000,posts:1000000" },
  queue: { ...kind.name, many: true, commands: ["jobs"], help: "only jobs of this queue" },
  job: { ...kind.text, commands: ["jobs"], help: "only jobs of this name" },
  state: {
    ...kind.choice("available", "scheduled", "retryable", "running", "completed", "cancelled", "discarded"),
    many: true,
    commands: ["jobs"],
    help: "only jobs in this state",
  },
  idPrefix: { ...kind.text, commands: ["jobs"], help: "only jobs whose id begins like this" },
  olderThan: { ...kind.duration("0", "3650d"), commands: ["jobs"], help: "only jobs in their state for so long" },
  limit: { ...kind.count(1, 100_000), default: "100", commands: ["jobs"], help: "most jobs listed or steered" },
  cursor: { ...kind.text, commands: ["jobs"], help: "where a list goes on: what the one before ended with" },
  json: {
    ...kind.onOff,
    default: "off",
    switch: true,
    commands: ["jobs", "control"],
    help: "print JSON instead of a table",
  },
  database: {
    ...kind.onOff,
    default: "off",
    switch: true,
    commands: ["doctor"],
    help: "explain the statements that applications send here; name missing indexes",
  },
  redis: {
    ...kind.onOff,
    default: "off",
    switch: true,
    commands: ["doctor"],
    help: "ask each Redis whether it is set up for what it is used for: version, memory, rights, latency, failover",
  },
  force: { ...kind.onOff, default: "off", switch: true, commands: ["init"], help: "overwrite files that exist" },

  service: { ...kind.name, commands: ["control"], help: "the service meant, where several have the target" },
  timeout: {
    ...kind.duration("0", "24d"),
    default: "30s",
    commands: ["control"],
    help: "time that drain waits for the target to finish; 0: none",
  },

  // The command line itself
  config: { ...kind.path, commands: everyone, help: "a TOML file with any of these options, e.g. scale.toml" },
  printConfig: {
    ...kind.onOff,
    default: "off",
    switch: true,
    commands: everyone,
    help: "print every value and where it came from, and exit",
  },
} as const satisfies { readonly [name: string]: Option };

export type OptionName = keyof typeof options;

type ValueOf<O> = O extends { parse: (text: string) => infer T }
  ? O extends { many: true }
    ? readonly T[]
    : O extends { default: string | Defaults }
      ? T
      : T | undefined
  : never;

/** Every option's value. One that the command does not know holds its default, or undefined. */
export type Options = { readonly [N in OptionName]: ValueOf<(typeof options)[N]> };

/** Names of the options that a service in scale.toml may have of its own. */
type ServiceOption = { [N in OptionName]: (typeof options)[N] extends { perService: true } ? N : never }[OptionName];

export type ServiceOptions = Pick<Options, ServiceOption>;
export type ServiceSettings = Partial<ServiceOptions>;

export const serviceOptions = Object.entries(options as { readonly [name: string]: Option })
  .filter(([, { perService }]) => perService)
  .map(([name]) => name) as readonly ServiceOption[];

/** What a role or tool is started with. */
export interface Config extends Options {
  readonly command: Command;
  /** What follows the options: the entry for dev, app, worker and migrate, a directory for init, what to do for jobs and scale lb. */
  readonly argument: string | undefined;
  /** What the config file says of services and redirects. */
  readonly routes: Routes<ServiceEntry>;
  /** What follows that: ids and names for jobs, a target for scale lb. */
  readonly operands: readonly string[];
  /** This binary's way to start itself again: [executable] or [bun, main.ts]. */
  readonly self: readonly string[];
  /** The command line's flags as they were written, by name without dashes: for starting the same command again. */
  readonly flags: ReadonlyMap<string, readonly string[]>;
  /**
   * What somebody set for this command, as it was written: for a tool that starts roles and hands its options on. What the file says
   * for every command at once is not in it: a role reads that itself, and its own table beats it.
   */
  readonly given: ReadonlyMap<OptionName, readonly string[]>;
}

export type { Cidr, HostPort };
export type Backend = kind.Backend;

export function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

export function flagOf(name: string): string {
  return `--${kebab(name)}`;
}

export function environmentName(name: string): string {
  return `SCALE_${kebab(name).replaceAll("-", "_").toUpperCase()}`;
}

/** The option of this name in kebab case. */
export function optionOf(name: string): Option | undefined {
  const found = Object.entries(options as { readonly [name: string]: Option }).find(([key]) => kebab(key) === name);
  return found?.[1];
}

/** The bare environment variables that the command reads for an option. */
export function bareVariables(option: Option, command: Command): readonly string[] {
  return (option.envCommands ?? option.commands).includes(command) ? (option.env ?? []) : [];
}

/** The tool that a word on the command line asks for. */
export function toolOf(word: string): Tool | undefined {
  return tools.find((tool) => wordOf(tool) === word);
}

/** How a tool is asked for. */
export function wordOf(tool: Tool): string {
  return words[tool] ?? tool;
}

export function isTool(word: string): word is Tool {
  return (tools as readonly string[]).includes(word);
}

export function isRole(word: string): word is Role {
  return (roles as readonly string[]).includes(word);
}

/** The default as text, the way it would be written. */
export function defaultOf(option: Option, command: Command): string | undefined {
  if (typeof option.default !== "object") return option.default;
  return option.default[command] ?? option.default["*"];
}
