/** One client's connection and one target's, with sockets and a clock that do what the test says: who is waited for, how long, and what is kept. */
import { describe, expect, test } from "bun:test";

import { type Balancer, noCounts } from "../../lb/balancer.ts";
import { Connections } from "../../lb/connections.ts";
import { ControlPlane } from "../../lb/control/plane.ts";
import { wantedOf } from "../../lb/control/wanted.ts";
import { Http1Downstream } from "../../lb/downstream/http1.ts";
import { RetryBudget } from "../../lb/retry_budget.ts";
import { peerOf } from "../../lb/rewrite.ts";
import { Services } from "../../lb/services.ts";
import { SpareParsers } from "../../lb/spare_parsers.ts";
import type { Upstream, UpstreamUser } from "../../lb/stream.ts";
import { Http1Upstream } from "../../lb/upstream/http1.ts";
import { Pool } from "../../lb/upstream/pool.ts";
import { parseArguments } from "../../src/config/arguments.ts";
import { loadConfig } from "../../src/config/load.ts";
import type { Config } from "../../src/config/options.ts";
import type { Protocol, TcpSocket } from "../../src/io/connection.ts";
import { flushStaged } from "../../src/io/write_queue.ts";
import { clock } from "../../src/std/clock.ts";
import { ScaleError } from "../../src/std/errors.ts";
import { headRoom } from "../../src/wire/http1/serialise.ts";

const seconds = 1_000;
const flags = [
  "--backend=127.0.0.1:1",
  "--access-log=off",
  "--keep-alive-timeout=75s",
  "--body-timeout=30s",
  "--first-byte-timeout=50s",
  "--response-idle-timeout=60s",
];
const { config } = loadConfig("lb", parseArguments(flags), {}, []);

/** One side's socket: takes as many bytes as it has room for. */
class Socket {
  room = Number.POSITIVE_INFINITY;
  sent = "";
  state: "open" | "shut down" | "ended" | "reset" = "open";
  isPaused = false;

  write(bytes: Uint8Array, offset: number, length: number): number {
    const taken = Math.min(this.room, length);
    this.room -= taken;
    this.sent += Buffer.from(bytes.subarray(offset, offset + taken)).toString("latin1");
    return taken;
  }
  pause(): void {
    this.isPaused = true;
  }
  resume(): void {
    this.isPaused = false;
  }
  shutdown(): void {
    this.state = "shut down";
  }
  end(): void {
    this.state = "ended";
  }
  terminate(): void {
    this.state = "reset";
  }
}

/** A pool whose connections are all new and scripted. */
class ScriptedPool extends Pool {
  readonly #connect: (user: UpstreamUser) => Upstream;

  constructor(connect: (user: UpstreamUser) => Upstream, of: Config) {
    super(of.backend[0]!, of);
    this.#connect = connect;
  }

  override acquire(user: UpstreamUser): undefined {
    this.#connect(user);
  }

  override dial(user: UpstreamUser): Upstream {
    return this.#connect(user);
  }
}

/** What an event is to io/connection.ts. */
function event(work: () => void): void {
  work();
  flushStaged();
}

function scene() {
  const client = new Socket();
  const target = new Socket();
  let upstream: Http1Upstream | undefined;
  const network = { isSlow: false };
  const connect = () => upstream!.connected(target as unknown as TcpSocket);
  const pool: Pool = new ScriptedPool((user) => {
    upstream = new Http1Upstream(pool, config, user);
    if (!network.isSlow) connect();
    return upstream;
  }, config);
  const services = new Services(
    () => pool,
    () => undefined,
  );
  services.apply(new ControlPlane(wantedOf(config), () => undefined).world);
  const balancer: Balancer = {
    config,
    services,
    limits: undefined,
    rewriteRules: { trusted: () => false, traceSample: 1 },
    counters: noCounts(),
    retryBudget: new RetryBudget(config, clock.now),
    spareParsers: new SpareParsers(config),
    headRoomBytes: headRoom(config),
    isDraining: false,
  };
  const open = new Connections(config);
  const downstream = new Http1Downstream(
    balancer,
    client as unknown as TcpSocket,
    peerOf("192.0.2.1", () => false),
    open,
  );
  open.add(downstream);
  const received = (protocol: Protocol, text: string) => event(() => protocol.received(Buffer.from(text, "latin1")));
  return {
    client,
    target,
    balancer,
    downstream,
    isOpen: () => open.size > 0,
    fromClient: (text: string) => received(downstream, text),
    fromTarget: (text: string) => received(upstream!, text),
    network,
    /** The connection is made that was waited for. */
    connects: () => event(connect),
    targetIsGone: () => event(() => upstream!.closed(undefined)),
    /** The client, or the target, takes `bytes` more. */
    clientTakes: (bytes: number) => {
      client.room = bytes;
      event(() => downstream.drained());
    },
    targetTakes: (bytes: number) => {
      target.room = bytes;
      event(() => upstream!.drained());
    },
    /** Time until something happens if nothing comes. */
    wait: () => Math.round(downstream.deadline - clock.now),
    after: (milliseconds: number) => void (clock.now += milliseconds),
  };
}

const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const okOf = (bytes: number) => `HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: ${bytes}\r\n\r\n`;
const large = "x".repeat(200_000);

describe("a client that reads slowly", () => {
  test("is given the time again with each byte that it takes, and no more", () => {
    const { client, target, fromClient, fromTarget, clientTakes, wait, after } = scene();
    fromClient(get);
    client.room = 1_000;
    fromTarget(okOf(1_000_000) + large);
    expect([target.isPaused, wait()]).toEqual([true, 30 * seconds]);
    for (let n = 0; n < 5; n++) {
      after(29 * seconds);
      clientTakes(20_000);
      expect([target.isPaused, wait()]).toEqual([true, 30 * seconds]);
    }
    after(29 * seconds);
    expect(wait()).toBe(1 * seconds);
    clientTakes(99_000);
    expect([target.isPaused, wait()]).toEqual([false, 60 * seconds]);
  });

  test("and too slowly is given up, though it takes something every time", () => {
    const { client, fromClient, fromTarget, clientTakes, wait, after } = scene();
    fromClient(get);
    client.room = 1_000;
    fromTarget(okOf(1_000_000) + large);
    after(10 * seconds);
    clientTakes(480);
    expect(wait()).toBe(22 * seconds);
    after(20 * seconds);
    clientTakes(240);
    expect(wait()).toBe(3 * seconds);
  });

  test("does not give a silent target more time", () => {
    const { client, fromClient, fromTarget, clientTakes, wait, after } = scene();
    fromClient(get);
    client.room = 0;
    fromTarget(okOf(1_000_000) + "x".repeat(30_000));
    after(50 * seconds);
    clientTakes(5_000);
    expect(wait()).toBe(10 * seconds);
  });

  test("is not idle while the last answer is on its way", () => {
    const { client, fromClient, fromTarget, clientTakes, wait, after, isOpen } = scene();
    fromClient(get);
    client.room = 1_000;
    fromTarget(okOf(large.length) + large);
    expect(wait()).toBe(30 * seconds);
    clientTakes(1_000);
    expect([wait(), isOpen()]).toEqual([30 * seconds, true]);
    after(29 * seconds);
    clientTakes(1_000_000);
    expect([wait(), isOpen()]).toEqual([75 * seconds, true]);
  });

  test.each([
    ["when the balancer drains", "drain"],
    ["when the client has ended its side", "ended"],
  ] as const)("gets all of the last answer %s, then the connection closes", (_, how) => {
    const { client, downstream, fromClient, fromTarget, clientTakes, isOpen } = scene();
    fromClient(get);
    client.room = 1_000;
    fromTarget(okOf(large.length) + large);
    event(() => downstream[how]());
    expect([isOpen(), client.state]).toEqual([true, "open"]);
    clientTakes(100_000);
    clientTakes(100_000);
    expect([isOpen(), client.state, client.sent.endsWith(large)]).toEqual([false, "ended", true]);
  });

  test("and asks without end for answers without a body is made to wait", () => {
    const { client, fromClient, fromTarget, clientTakes } = scene();
    client.room = 0;
    const head = "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";
    fromClient(head);
    let answered = 0;
    for (; !client.isPaused && answered < 10_000; answered++) {
      fromTarget(okOf(5));
      fromClient(head);
    }
    expect(answered).toBeLessThan(3_000);
    clientTakes(1_000_000);
    expect(client.isPaused).toBe(false);
  });
});

describe("a client that waits for 100 (Continue)", () => {
  const expecting = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";

  test("waits for the target; from then on the target waits for it", () => {
    const { client, fromClient, fromTarget, wait, after } = scene();
    fromClient(expecting);
    expect(wait()).toBe(50 * seconds);
    after(40 * seconds);
    fromTarget("HTTP/1.1 103 Early Hints\r\n\r\n");
    expect(wait()).toBe(50 * seconds);
    fromTarget("HTTP/1.1 100 Continue\r\n\r\n");
    expect([wait(), client.sent]).toEqual([
      30 * seconds,
      "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n",
    ]);
    fromClient("hello");
    expect(wait()).toBe(50 * seconds);
  });

  test("and is not answered is told that it was the target", () => {
    const { client, downstream, fromClient, after } = scene();
    fromClient(expecting);
    after(60 * seconds);
    event(() => downstream.expire());
    expect(client.sent).toStartWith("HTTP/1.1 504 ");
  });
});

describe("a target", () => {
  const post = `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${large.length}\r\n\r\n${large}`;

  test("that takes an upload slowly is given the time again with each byte", () => {
    const { client, target, fromClient, targetTakes, wait, after } = scene();
    target.room = 0;
    fromClient(post);
    after(59 * seconds);
    targetTakes(1_000);
    expect([client.isPaused, wait()]).toEqual([true, 50 * seconds]);
  });

  test("that answers before it has taken the whole upload serves no one else", () => {
    const { target, fromClient, fromTarget } = scene();
    target.room = 1_000;
    fromClient(post);
    fromTarget(okOf(0));
    expect(target.state).toBe("ended");
  });

  test("that answers once it has is kept", () => {
    const { target, fromClient, fromTarget, targetTakes } = scene();
    target.room = 1_000;
    fromClient(post);
    targetTakes(1_000_000);
    fromTarget(okOf(0));
    expect(target.state).toBe("open");
  });
});

describe("a request whose connection ends without an answer", () => {
  const post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";

  test("is sent again whatever its method, body and all, when the kernel took nothing of it", () => {
    const { client, target, balancer, fromClient, fromTarget, targetIsGone } = scene();
    target.room = 0;
    fromClient(post);
    target.room = Number.POSITIVE_INFINITY;
    targetIsGone();
    expect(target.sent).toMatch(/^POST \/ HTTP\/1.1\r\n(?:.+\r\n)+\r\nhello$/);
    expect(balancer.counters.retries.unsent).toBe(1);
    fromTarget(okOf(0));
    expect(client.sent).toStartWith("HTTP/1.1 200 OK\r\n");
  });

  test("goes on with the rest of its body on the next connection", () => {
    const { target, fromClient, targetIsGone } = scene();
    target.room = 0;
    fromClient(post.slice(0, -3));
    target.room = Number.POSITIVE_INFINITY;
    targetIsGone();
    fromClient("llo");
    expect(target.sent).toEndWith("\r\n\r\nhello");
  });

  test("keeps what comes of its body while the next connection is made", () => {
    const { target, network, fromClient, targetIsGone, connects } = scene();
    target.room = 0;
    fromClient(post.slice(0, -3));
    target.room = Number.POSITIVE_INFINITY;
    network.isSlow = true;
    targetIsGone();
    fromClient("llo");
    expect(target.sent).toBe("");
    connects();
    expect(target.sent).toEndWith("\r\n\r\nhello");
  });

  test("is not sent again when it took one byte, and the method is not safe", () => {
    const { client, target, balancer, fromClient, targetIsGone } = scene();
    target.room = 1;
    fromClient(post);
    target.room = Number.POSITIVE_INFINITY;
    targetIsGone();
    expect([target.sent, balancer.counters.retries.unsent]).toEqual(["P", 0]);
    expect(client.sent).toStartWith("HTTP/1.1 502 ");
  });

  test("is not sent again when its body was more than is kept", () => {
    const { client, target, fromClient, targetIsGone } = scene();
    target.room = 0;
    fromClient(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\n${"x".repeat(70_000)}`);
    targetIsGone();
    expect(client.sent).toStartWith("HTTP/1.1 502 ");
  });

  test("has no more time for all its attempts than for one", () => {
    const { target, fromClient, targetIsGone, wait, after } = scene();
    target.room = 0;
    fromClient(post);
    after(20 * seconds);
    targetIsGone();
    expect(wait()).toBe(30 * seconds);
  });
});

test("a response that began before the balancer drained is finished, and its connection closed", () => {
  const { client, balancer, downstream, fromClient, fromTarget, isOpen } = scene();
  fromClient(get);
  fromTarget(`${okOf(10)}hello`);
  balancer.isDraining = true;
  event(() => downstream.drain());
  expect(isOpen()).toBe(true);
  fromTarget("world");
  expect([isOpen(), client.state, client.sent.endsWith("helloworld")]).toEqual([false, "ended", true]);
});

test("an error of our own is not answered as the client's: it ends the connection", () => {
  const { client, fromClient, balancer } = scene();
  balancer.services.get("default")!.pick = () => {
    throw new ScaleError("illegal_transition", "done → done");
  };
  expect(() => fromClient(get)).toThrow("done → done");
  expect(client.sent).toBe("");
});
