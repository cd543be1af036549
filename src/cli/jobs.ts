/**
 * `scale jobs`: what an operator asks about jobs and does with them, on the command line. A table of verbs; looking is jobs/look.ts,
 * steering jobs/steer.ts. It needs the queue's address and nothing else: no application, no running worker.
 */
import { existsSync } from "node:fs";

import type { Config } from "../config/options.ts";
import { closest } from "../std/closest.ts";
import { ScaleError } from "../std/errors.ts";
import { openQueue } from "../store/queue/open.ts";
import { pathOfFileUrl } from "../store/sqlite/database.ts";
import { list, show, stats } from "./jobs/look.ts";
import type { Verb } from "./jobs/request.ts";
import { cancel, discard, pause, redrive, resume, retry } from "./jobs/steer.ts";

const verbs: { readonly [name: string]: Verb } = {
  ls: list,
  show,
  retry,
  redrive,
  discard,
  cancel,
  pause,
  resume,
  stats,
};

export async function run(config: Config): Promise<number> {
  const verb = verbOf(config.argument);
  const queue = openQueue(urlOf(config), { namespace: config.namespace });
  try {
    return await verb({ config, inspector: queue.inspector, operands: config.operands });
  } finally {
    await queue.close();
  }
}

function verbOf(name: string | undefined): Verb {
  const verb = name === undefined ? undefined : verbs[name];
  if (verb !== undefined) return verb;
  const meant = closest(name ?? "", Object.keys(verbs));
  const asked =
    name === undefined ? "scale jobs does not say what to do" : `"${name}" is nothing that scale jobs can do`;
  throw new ScaleError("usage", `${asked}, expected ${Object.keys(verbs).join(", ")}`, {
    hint: meant === undefined ? "scale jobs --help" : `did you mean scale jobs ${meant}?`,
  });
}

function urlOf({ queueUrl, redisUrl }: Config): string {
  const url = queueUrl ?? redisUrl;
  if (url?.startsWith("file:") && !existsSync(pathOfFileUrl(url))) {
    throw new ScaleError("store_unavailable", `there is no queue at ${url}`, {
      hint: "a file is made by the first role that uses it: check the path, and the directory it is relative to",
    });
  }
  if (url !== undefined) return url;
  throw new ScaleError("store_not_configured", "scale jobs needs the address of the queue, and none is configured", {
    hint: "--redis-url=redis://… or file:PATH (REDIS_URL), or --queue-url; that of scale dev is file:.scale/store.sqlite",
  });
}
