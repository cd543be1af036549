/**
 * `scale doctor --redis`: connects to each Redis that is configured as an application would, and says what is wrong with it for what it is
 * used for. Writes nothing there. What INFO means is redis_info.ts, which rights are needed redis_rights.ts, what Sentinels must say
 * redis_sentinels.ts.
 */
import type { Config } from "../../config/options.ts";
import { messageOf, ScaleError } from "../../std/errors.ts";
import { isClusterUrl, isRedisUrl, isSentinelUrl } from "../../std/redis_url.ts";
import { redisAt } from "../../store/redis/access.ts";
import { isReply, type Operation, replyIn } from "../../store/redis/connection.ts";
import { type Form, isVersionTooOld, serverFindings, versionOf } from "./redis_info.ts";
import { commandsFor, rightsFindings, type Use, wordsOf } from "./redis_rights.ts";
import { sentinelFindings } from "./redis_sentinels.ts";

const answerMilliseconds = 5_000;
const pings = 21;

/** Which of the commands in ARGV (words with line feeds between them) this user may not run. */
const refusedScript = `
local refused = {}
for _, command in ipairs(ARGV) do
  local words = {}
  for word in string.gmatch(command, '[^\\n]+') do words[#words + 1] = word end
  if not redis.acl_check_cmd(unpack(words)) then refused[#refused + 1] = command end
end
return refused`;

interface Store {
  readonly url: string;
  readonly uses: readonly Use[];
  readonly namespace: string;
}

/** What is wrong with any Redis of this configuration. */
export async function redisFindings(config: Config): Promise<readonly string[]> {
  const stores = storesOf(config);
  if (stores.length === 0) {
    throw new ScaleError("configuration_invalid", "scale doctor --redis needs a Redis, and none is configured", {
      hint: "--redis-url=redis://… (REDIS_URL), or --cache-url and --queue-url",
    });
  }
  return (await Promise.all(stores.map(lookAt))).flat();
}

/** Each once, with all that it is used for. */
function storesOf({ redisUrl, cacheUrl = redisUrl, queueUrl = redisUrl, namespace }: Config): readonly Store[] {
  const urls = [...new Set([cacheUrl, queueUrl])].filter((url) => url !== undefined);
  return urls.map((url) => {
    const ofCache: readonly Use[] = isClusterUrl(url) ? ["cache"] : ["cache", "local"];
    return {
      url,
      namespace,
      uses: [...(url === cacheUrl ? ofCache : []), ...(url === queueUrl ? ["queue" as const] : [])],
    };
  });
}

async function lookAt(store: Store): Promise<readonly string[]> {
  const { url, uses } = store;
  const what = [uses.includes("cache") && "cache and sessions", uses.includes("queue") && "queue"].filter(Boolean);
  if (!isRedisUrl(url)) {
    print(`${what.join(", ")}: a file of this machine (${url}), with nothing to look at`);
    return [];
  }
  const ofServers = serversFindings(store, what.join(", "));
  return isSentinelUrl(url) ? [...(await sentinelFindings(url)), ...(await ofServers)] : ofServers;
}

function formOf(url: string): Form {
  return isClusterUrl(url) ? "cluster" : isSentinelUrl(url) ? "sentinel" : "server";
}

/** The server, or each primary of a Cluster. */
async function serversFindings(store: Store, what: string): Promise<readonly string[]> {
  const access = redisAt(store.url)({
    name: "scale-doctor",
    onLostReply: "fail",
    operationTimeoutMs: answerMilliseconds,
    unpipelined: true,
  });
  try {
    return (await access.everywhere("be looked at", asking(store, what))).flat();
  } catch (error) {
    const hint = error instanceof ScaleError ? error.hint : undefined;
    return [`${what}: ${messageOf(error)}${hint === undefined ? "" : `\n  Fix: ${hint}`}`];
  } finally {
    access.close();
  }
}

function asking({ url, uses, namespace }: Store, what: string): Operation<readonly string[]> {
  return async (client, connection) => {
    // A right of its own, which the others are no reason to have.
    const info = await client.info().catch((error: unknown) => (isReply(error, "NOPERM") ? "" : Promise.reject(error)));
    const roundTrips: number[] = [];
    while (roundTrips.length < pings) {
      const sentAt = performance.now();
      await client.ping();
      roundTrips.push(performance.now() - sentAt);
    }
    const { place } = connection;
    const form = formOf(url);
    const isQueue = uses.includes("queue");
    const speed = `answers in ${Math.min(...roundTrips).toFixed(1)} to ${Math.max(...roundTrips).toFixed(1)} ms`;
    print(`${what}: Redis ${versionOf(info)} at ${place} ${speed}`);
    const ofServer = serverFindings({ info, form, isQueue, roundTrips });
    const ofRights = isVersionTooOld(info) ? [] : await rights(client, { url, uses, namespace });
    const ofCluster = form === "cluster" ? clusterFindings(await client.cluster("INFO")) : [];
    return [...ofServer, ...ofRights, ...ofCluster].map((finding) => `Redis at ${place}: ${finding}`);
  };
}

async function rights(client: Parameters<Operation<unknown>>[0], store: Store): Promise<readonly string[]> {
  const { url, uses, namespace } = store;
  const commands = commandsFor(uses);
  const user = userOf(url);
  try {
    const asked = commands.map((command) => wordsOf(command, namespace).join("\n"));
    const refused = new Set((await client.eval(refusedScript, 0, ...asked)) as string[]);
    const missing = commands.filter((_, index) => refused.has(asked[index]!));
    return rightsFindings(missing, uses, { user, namespace });
  } catch (error) {
    const reply = replyIn(error);
    if (reply === undefined) throw error;
    return [
      `its user ${user} may run no scripts, which everything here is made of: ${reply}\n  Fix: ACL SETUSER ${user} +eval +evalsha +script|load`,
    ];
  }
}

function userOf(url: string): string {
  const first = url.replace(/^[^/]*\/\//, "redis://").replace(/,[^/]*/, "");
  return (URL.canParse(first) && decodeURIComponent(new URL(first).username)) || "default";
}

function clusterFindings(info: string): readonly string[] {
  if (/^cluster_state:ok/m.test(info)) return [];
  const slots = /^cluster_slots_ok:(\d+)/m.exec(info)?.[1];
  return [
    `the Cluster is down, as this server sees it: ${slots} of 16384 slots are served\n` +
      "  Fix: redis-cli --cluster check HOST:PORT, and bring back the servers that it misses",
  ];
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
