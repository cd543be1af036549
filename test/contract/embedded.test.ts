/** The embedded database as a process: what it keeps, whom it lets in, and how connections share its one session. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { openDatabase } from "../../src/store/embedded/database.ts";
import { openGate } from "../../src/store/embedded/gate.ts";
import { message, query, sync } from "../../src/store/embedded/messages.ts";
import { openSql } from "../../src/store/sql/sql.ts";
import { type EmbeddedServer, startEmbedded } from "../harness/embedded.ts";
import { eventually } from "../harness/eventually.ts";
import { bind, connectRaw, connectWire, execute, parse, startup } from "../harness/pg_wire.ts";
import { temporaryDirectory } from "../harness/temporary.ts";

setDefaultTimeout(60_000);

const s = (text: string, ...parameters: readonly (string | number)[]) => ({ text, parameters });
const options = { applicationName: "test", poolMax: 4, statementTimeout: 10_000 };

let server: EmbeddedServer;
beforeAll(async () => {
  server = await startEmbedded();
});
afterAll(() => server.remove());

describe("the process", () => {
  test("SIGTERM closes it cleanly: exit code 0, no URL left behind, data kept, same password at the next start", async () => {
    const first = await startEmbedded();
    const sql = openSql(first.url, options);
    await sql.session((session) => session.script("create table kept (n int); insert into kept values (7)"));
    await sql.close();
    expect(statSync(join(first.directory, "url")).mode & 0o777).toBe(0o600);
    expect(await first.kill("SIGTERM")).toBe(0);
    expect(existsSync(join(first.directory, "url"))).toBe(false);

    const second = await startEmbedded(first.directory);
    expect(new URL(second.url).password).toBe(new URL(first.url).password);
    const again = openSql(second.url, options);
    expect(await again.query(s("select n from kept"))).toEqual([{ n: 7 }]);
    await again.close();
    await second.remove();
  });

  test("an empty password file, left by a process that was killed while it wrote it, is no password", async () => {
    const directory = temporaryDirectory("embedded");
    writeFileSync(join(directory, "password"), "");
    const first = await startEmbedded(directory);
    expect(new URL(first.url).password).toMatch(/^[0-9a-f]{32}$/);
    await first.remove();
  });

  test("kill -9 while it writes loses nothing that was acknowledged", async () => {
    const first = await startEmbedded();
    const sql = openSql(first.url, options);
    await sql.session((session) => session.script("create table written (n int primary key)"));
    let acknowledged = 0;
    const writers = Array.from({ length: 4 }, async (_, writer) => {
      for (let n = writer; ; n += 4) {
        await sql.query(s("insert into written values ($1)", n));
        acknowledged++;
      }
    });
    const stopped = Promise.allSettled(writers);
    await eventually(() => acknowledged >= 300);
    await first.kill("SIGKILL");
    await stopped;
    await sql.close();

    const second = await startEmbedded(first.directory);
    const again = openSql(second.url, options);
    const [row] = await again.query<{ n: number }>(s("select count(*)::int as n from written"));
    expect(row!.n).toBeGreaterThanOrEqual(acknowledged);
    await again.close();
    await second.remove();
  });

  test("a second process on its directory ends at once and says who holds it", async () => {
    const main = join(import.meta.dir, "../../src/main.ts");
    const second = Bun.spawn([process.execPath, main, "postgres", `--data-dir=${server.directory}`], {
      stderr: "pipe",
    });
    expect(await second.exited).toBe(1);
    expect(await new Response(second.stderr).text()).toContain(`in use by process ${server.pid}`);
  });

  test("psql comes in with the URL", () => {
    const psql = Bun.spawnSync(["psql", server.url, "-Atc", "select 1 + 1", "-c", "\\conninfo", "-c", "select 'done'"]);
    expect(psql.stderr.toString()).toBe("");
    expect(psql.stdout.toString()).toMatch(/^2\n(.*\n)*done\n$/);
  });
});

describe("who comes in", () => {
  test.each([
    ["a wrong password", { user: "postgres", database: "postgres" }, "wrong", "28P01"],
    ["another user", { user: "root", database: "postgres" }, "", "28000"],
    ["another database", { user: "postgres", database: "elsewhere" }, "", "3D000"],
  ])("%s is refused with PostgreSQL's code", async (_, parameters, password, code) => {
    const client = await connectRaw(server.url);
    client.send(startup(parameters), message("p", password));
    expect(await client.ready()).toContain(`E(${code})|closed`);
  });

  test("what is not the protocol is shown out, and nobody else notices", async () => {
    for (const bytes of ["GET / HTTP/1.1\r\n\r\n", "\0\0\0\x04", "\0\0\0\x08\0\0\0\0"]) {
      const client = await connectRaw(server.url);
      client.send(Buffer.from(bytes, "latin1"));
      await client.closed;
    }
    const inside = await connectWire(server.url);
    inside.send(Buffer.from([0x7a, 0, 0, 0, 4]));
    expect(await inside.ready()).toBe("E(08P01)|closed");
    const huge = await connectWire(server.url);
    huge.send(Buffer.from([0x51, 0x7f, 0xff, 0xff, 0xff]));
    expect(await huge.ready()).toBe("E(08P01)|closed");
  });

  test("SSL is declined, and the client may go on without", async () => {
    const client = await connectRaw(server.url);
    client.send(Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]));
    await eventually(() => client.rest() === "N");
    client.close();
  });

  test("messages may come in pieces of any size", async () => {
    const client = await connectWire(server.url);
    const bytes = Buffer.concat([parse("", "select 1"), bind(""), execute, sync]);
    for (const byte of bytes) {
      client.send(Buffer.from([byte]));
      await Bun.sleep(0);
    }
    expect(await client.ready()).toBe("12DCZ");
    client.close();
  });

  test("it listens on loopback only", async () => {
    const main = join(import.meta.dir, "../../src/main.ts");
    const flags = [`--data-dir=${temporaryDirectory("embedded")}`, "--listen=0.0.0.0:0"];
    const child = Bun.spawn([process.execPath, main, "postgres", ...flags], { stderr: "pipe" });
    expect(await child.exited).toBe(78);
    expect(await new Response(child.stderr).text()).toContain("loopback");
  });
});

describe("one session for all", () => {
  test("two connections may give their prepared statements the same name", async () => {
    const [a, b] = [await connectWire(server.url), await connectWire(server.url)];
    a.send(parse("s1", "select 'a'"), sync);
    b.send(parse("s1", "select 'b', 'b'"), sync);
    expect([await a.ready(), await b.ready()]).toEqual(["1Z", "1Z"]);
    a.send(bind("s1"), message("D", Buffer.from("P"), ""), execute, sync);
    b.send(bind("s1"), execute, sync);
    expect([await a.ready(), await b.ready()]).toEqual(["2TDCZ", "2DCZ"]);
    a.send(query("deallocate all"));
    expect(await a.ready()).toBe("CZ");
    a.send(bind("s1"), execute, sync);
    expect(await a.ready()).toBe("E(26000)Z");
    b.send(bind("s1"), execute, sync);
    expect(await b.ready()).toBe("2DCZ");
    a.close();
    b.close();
  });

  test("a connection that disappears in its transaction is rolled back, and the next goes on", async () => {
    const [a, b] = [await connectWire(server.url), await connectWire(server.url)];
    a.send(query("create table if not exists vanished (n int)"));
    await a.ready();
    a.send(query("begin; insert into vanished values (1)"));
    await a.ready();
    b.send(query("select n from vanished"));
    a.close();
    expect(await b.ready()).toBe("TCZ");
    b.close();
  });

  test("a connection that disappears in the middle of a batch leaves the session usable", async () => {
    const [a, b] = [await connectWire(server.url), await connectWire(server.url)];
    a.send(parse("x", "select 1"), message("H"));
    await eventually(() => a.rest() !== "");
    b.send(query("select 2"));
    a.close();
    expect(await b.ready()).toBe("TDCZ");
    b.close();
  });

  test("settings belong to their connection, those it came with and those it SET", async () => {
    const setting = s("select current_setting('lock_timeout') as t, current_setting('work_mem') as w");
    const a = openSql(`${server.url}?lock_timeout=1111`, { ...options, poolMax: 1 });
    const b = openSql(`${server.url}?lock_timeout=2222`, { ...options, poolMax: 1 });
    for (let n = 0; n < 5; n++) {
      expect(await a.query(setting)).toEqual([{ t: "1111ms", w: "4MB" }]);
      expect(await b.query(setting)).toEqual([{ t: "2222ms", w: "4MB" }]);
    }
    await a.query(s("set work_mem = '8MB'"));
    await a.tx(async (tx) => void (await tx.query(s("set local lock_timeout = '5s'"))));
    for (let n = 0; n < 5; n++) {
      expect(await b.query(setting)).toEqual([{ t: "2222ms", w: "4MB" }]);
      expect(await a.query(setting)).toEqual([{ t: "1111ms", w: "8MB" }]);
    }
    await a.query(s("reset work_mem"));
    expect(await a.query(setting)).toEqual([{ t: "1111ms", w: "4MB" }]);
    await Promise.all([a.close(), b.close()]);
  });

  test("a setting PostgreSQL does not know refuses the connection that asks for it", async () => {
    const client = await connectWire(server.url, { no_such_setting: "1" });
    client.send(query("select 1"));
    expect(await client.ready()).toBe("E(22023)|closed");
  });

  test("LISTEN and COPY FROM STDIN say that they do not work here", async () => {
    const client = await connectWire(server.url);
    client.send(query("listen news"));
    expect(await client.ready()).toBe("E(0A000)Z");
    client.send(query("/* a comment */ COPY t FROM STDIN"));
    expect(await client.ready()).toBe("E(0A000)Z");
    client.send(query("create table loaded (n int); copy loaded from stdin"));
    expect(await client.ready()).toBe("E(0A000)Z");
    client.send(query("copy (select 1) to stdout"));
    expect(await client.ready()).toBe("HdcCZ");
    client.close();
  });

  test("a client that does not read its answer gets all of it when it does, and holds up nobody", async () => {
    const slow = await connectWire(server.url);
    slow.pause();
    slow.send(query("select repeat('x', 1000) from generate_series(1, 20000)"));
    const other = await connectWire(server.url);
    other.send(query("select 1"));
    expect(await other.ready()).toBe("TDCZ");
    slow.resume();
    expect(await slow.ready()).toBe(`T${"D".repeat(20_000)}CZ`);
    slow.close();
    other.close();
  });

  test("what waits too long for the session is told why", async () => {
    const database = await openDatabase(join(temporaryDirectory("embedded"), "data"));
    const address = { host: "127.0.0.1", port: 0 };
    const gate = openGate(database, { address, password: "p", onDead: () => undefined, sessionWaitMilliseconds: 200 });
    const [a, b] = [await connectWire(gate.url), await connectWire(gate.url)];
    a.send(query("begin"));
    await a.ready();
    b.send(query("select 1"));
    expect(await b.ready()).toBe("E(55P03)|closed");
    a.send(query("commit"));
    expect(await a.ready()).toBe("CZ");
    a.close();
    await gate.close();
    await database.close();
  });
});
