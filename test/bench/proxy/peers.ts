// The proxies that are compared, each one process at its documented best for this: keep-alive to the backends, and doing what scale does:
// access log to a file, X-Forwarded-*, Forwarded, X-Real-IP, X-Request-Id, traceparent where none came, health checks where it has them
// (nginx has none for free).
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { scaleBinary } from "../../harness/binary.ts";
import { eventually } from "../../harness/eventually.ts";

/** Disposing ends it and waits until it has ended: only then is its directory nobody's. */
export interface Proxy extends AsyncDisposable {
  readonly name: string;
  readonly url: string;
  /** The process and its workers. */
  pids(): readonly number[];
}

export interface Place {
  /** The peer's own, made for it. */
  readonly directory: string;
  readonly port: number;
  /** HOST:PORT of each. */
  readonly backends: readonly string[];
}

interface Peer {
  readonly name: string;
  /** Debian's package, undefined for scale itself. */
  readonly needs: string | undefined;
  start(
    place: Place,
  ): Promise<{ readonly command: readonly string[]; readonly env?: { readonly [name: string]: string } }>;
}

export const peers: readonly Peer[] = [
  {
    name: "scale",
    needs: undefined,
    start: async ({ directory, port, backends }) => ({
      command: [
        await scaleBinary(),
        "--role=lb",
        `--listen=127.0.0.1:${port}`,
        `--run-dir=${directory}/run`,
        "--requests-per-connection-max=1000000000",
        ...backends.map((backend) => `--backend=${backend}`),
      ],
    }),
  },
  {
    name: "nginx",
    needs: "nginx",
    start: async (place) => ({ command: ["nginx", "-c", await written(place, "nginx.conf", nginxConfig(place))] }),
  },
  {
    name: "haproxy",
    needs: "haproxy",
    start: async (place) => ({
      command: ["haproxy", "-db", "-f", await written(place, "haproxy.cfg", haproxyConfig(place))],
    }),
  },
  {
    name: "caddy",
    needs: "caddy",
    start: async (place) => ({
      command: [
        "caddy",
        "run",
        "--adapter",
        "caddyfile",
        "--config",
        await written(place, "Caddyfile", caddyConfig(place)),
      ],
      env: { GOMAXPROCS: "1" },
    }),
  },
];

/** Starts a proxy and waits for its first answer. */
export async function startPeer(peer: Peer, place: Place): Promise<Proxy> {
  mkdirSync(place.directory);
  const { command, env = {} } = await peer.start(place);
  const log = Bun.file(join(place.directory, `${peer.name}.log`));
  const child = Bun.spawn(["setpriv", "--pdeathsig=KILL", ...command], {
    cwd: place.directory,
    env: { PATH: process.env["PATH"] ?? "", HOME: place.directory, ...env },
    stdout: log,
    stderr: log,
  });
  const url = `http://127.0.0.1:${place.port}/`;
  await eventually(async () => (await fetch(url, { keepalive: false })).ok, {
    what: `${peer.name} answering (${place.directory})`,
  });
  const end = async (): Promise<void> => {
    child.kill("SIGTERM");
    await child.exited;
  };
  return { name: peer.name, url, pids: () => family(child.pid), [Symbol.asyncDispose]: end };
}

function family(pid: number): readonly number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter(Boolean).map(Number);
  return [pid, ...children.flatMap(family)];
}

async function written({ directory }: Place, name: string, text: string): Promise<string> {
  const path = join(directory, name);
  await Bun.write(path, text);
  return path;
}

const nginxConfig = ({ directory, port, backends }: Place): string => `
worker_processes 1;
daemon off;
pid ${directory}/nginx.pid;
error_log ${directory}/nginx-error.log;
events { worker_connections 4096; }
http {
  log_format line escape=json '{"time":"$time_iso8601","id":"$request_id","ip":"$remote_addr","method":"$request_method",'
    '"path":"$uri","status":$status,"s":$request_time,"bytes":$body_bytes_sent,"upstream":"$upstream_addr","upstream_s":"$upstream_header_time"}';
  access_log ${directory}/nginx-access.log line buffer=64k flush=1s;
  map $http_traceparent $trace {
    "~^00-[0-9a-f]+-[0-9a-f]+-[0-9a-f][0-9a-f]$" $http_traceparent;
    default "00-$request_id-0000000000000001-01";
  }
  keepalive_requests 100000000;
  client_max_body_size 0;
  client_body_temp_path ${directory}/body; proxy_temp_path ${directory}/proxy; fastcgi_temp_path ${directory}/fastcgi;
  uwsgi_temp_path ${directory}/uwsgi; scgi_temp_path ${directory}/scgi;
  upstream app {
    ${backends.map((backend) => `server ${backend};`).join(" ")}
    keepalive 256;
    keepalive_requests 100000000;
  }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://app;
      proxy_http_version 1.1;
      proxy_request_buffering off;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $http_host;
      proxy_set_header X-Real-IP $remote_addr;
      proxy_set_header X-Request-Id $request_id;
      proxy_set_header Forwarded "for=$remote_addr;host=\\"$http_host\\";proto=$scheme";
      proxy_set_header traceparent $trace;
    }
  }
}
`;

const haproxyConfig = ({ port, backends }: Place): string => `
global
  nbthread 1
  maxconn 4096
  log stdout format raw local0
defaults
  mode http
  log global
  option httplog
  http-reuse always
  timeout connect 3s
  timeout client 75s
  timeout server 60s
frontend public
  bind 127.0.0.1:${port}
  unique-id-format %{+X}o\\ %ci%cp%fi%fp%Ts%rt%pid
  unique-id-header X-Request-Id
  option forwardfor
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request set-header X-Real-IP %[src]
  http-request set-header Forwarded 'for=%[src];host="%[req.hdr(host)]";proto=http'
  http-request set-header traceparent 00-%[rand,hex,lower]%[rand,hex,lower]-%[rand,hex,lower]-01 unless { req.hdr(traceparent) -m reg ^00-[0-9a-f]+-[0-9a-f]+-[0-9a-f]+$ }
  default_backend app
backend app
  balance roundrobin
  option httpchk GET /readyz
  ${backends.map((backend, index) => `server s${index} ${backend} check inter 2s`).join("\n  ")}
`;

const caddyConfig = ({ directory, port, backends }: Place): string => `
{
  admin off
  auto_https off
}
http://127.0.0.1:${port} {
  log {
    output file ${directory}/caddy-access.log
    format json
  }
  reverse_proxy ${backends.join(" ")} {
    lb_policy round_robin
    health_uri /readyz
    health_interval 2s
    header_up X-Real-IP {remote_host}
    header_up X-Request-Id {http.request.uuid}
    header_up Forwarded "for={remote_host};host=\\"{http.request.hostport}\\";proto=http"
    transport http {
      keepalive_idle_conns_per_host 256
    }
  }
}
`;
