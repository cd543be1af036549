/** Whether the Sentinels of a redis+sentinel:// URL can replace a primary that dies. Asks each of them; what they watch is redis.ts'. */
import { messageOf } from "../../std/errors.ts";
import { addressOf, parseSentinelUrl, type SentinelAddress } from "../../std/redis_url.ts";
import { askOnce } from "../../store/redis/client.ts";
import type { Operation } from "../../store/redis/connection.ts";
import { hintFor } from "../../store/redis/hints.ts";

/** Fewer cannot tell a primary that died from one that they alone do not reach. */
const sentinelsMin = 3;

interface Answer {
  readonly place: string;
  /** HOST:PORT. */
  readonly primary?: string;
  readonly wrong?: string;
}

/** Each must answer, name the same primary, and be able to replace it together with the others. */
export async function sentinelFindings(url: string): Promise<readonly string[]> {
  const address = parseSentinelUrl(url);
  const { sentinels, name } = address;
  const answers = await Promise.all(sentinels.map((sentinel) => ask(address, addressOf(sentinel))));
  const findings = answers.flatMap(({ place, wrong }) => (wrong === undefined ? [] : [`Sentinel ${place}: ${wrong}`]));
  const primaries = new Set(answers.flatMap(({ primary }) => primary ?? []));
  if (primaries.size > 1) {
    const named = [...primaries].join(", ");
    findings.push(
      `the Sentinels name several primaries: ${named}\n  Fix: SENTINEL RESET ${name} on those that are wrong`,
    );
  }
  if (sentinels.length < sentinelsMin) {
    findings.push(
      `the URL names ${sentinels.length} of the Sentinels, expected at least ${sentinelsMin}: no others are asked for the primary\n` +
        "  Fix: name all of them, A:26379,B:26379,C:26379",
    );
  }
  return findings;
}

async function ask({ name, tls, sentinelUsername, sentinelPassword }: SentinelAddress, place: string): Promise<Answer> {
  const login = [sentinelUsername, sentinelPassword].map((part) => encodeURIComponent(part ?? "")).join(":");
  const url = `${tls ? "rediss" : "redis"}://${sentinelPassword === undefined ? "" : `${login}@`}${place}`;
  try {
    const primary = await askOnce(url, "scale-doctor", (client) => primaryOf(client, name));
    if (primary !== null) return { place, primary };
    return {
      place,
      wrong: `it knows no primary called ${name}\n  Fix: the name in the URL, or SENTINEL MONITOR ${name} …`,
    };
  } catch (error) {
    const said = messageOf(error);
    return { place, wrong: `${said}\n  Fix: ${hintFor(said)}` };
  }
}

/** Rejects where there are too few Sentinels to replace it (NOQUORUM). */
async function primaryOf(client: Parameters<Operation<unknown>>[0], name: string): Promise<string | null> {
  const address = (await client.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", name)) as readonly [string, string] | null;
  if (address === null) return null;
  await client.call("SENTINEL", "CKQUORUM", name);
  return addressOf({ host: address[0], port: Number(address[1]) });
}
