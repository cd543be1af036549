/**
 * Files of a directory over HTTP: ETag, conditional requests, Cache-Control. A name that carries a hash of its content
 * (app.3f9a2c1b.js, index-3f9a2c1b.css) never changes and is cached for ever; anything else is asked for again each time.
 */
import { realpathSync, type Stats } from "node:fs";
import { stat } from "node:fs/promises";
import { join, sep } from "node:path";

import { isFresh } from "../std/conditional.ts";

const immutable = "public, max-age=31536000, immutable";
const revalidate = "public, max-age=0, must-revalidate";

/** Answers a request from the directory, or null where it has no such file. Only GET and HEAD ask for files. */
export type StaticFiles = (request: Request, path: string) => Promise<Response | null>;

export function staticFiles(directory: string): StaticFiles {
  const root = realpathSync(directory);
  return async (request, path) => {
    if (request.method !== "GET" && request.method !== "HEAD") return null;
    const found = await locate(root, path);
    return found ? answer(request, found.path, found.stats) : null;
  };
}

/** The file a path means, never outside of the root: no dot-files, no "..", no link that leads out. */
async function locate(root: string, path: string): Promise<{ path: string; stats: Stats } | null> {
  const name = decode(path.endsWith("/") ? `${path}index.html` : path);
  if (name === null || name.includes("\0") || name.split("/").some(isHidden)) return null;
  try {
    const real = realpathSync(join(root, name));
    const stats = await stat(real);
    return stats.isFile() && real.startsWith(root + sep) ? { path: real, stats } : null;
  } catch {
    return null;
  }
}

/** Dot-files are not for the world, but .well-known is (RFC 8615). */
function isHidden(part: string): boolean {
  return part.startsWith(".") && part !== ".well-known";
}

function decode(path: string): string | null {
  try {
    return decodeURIComponent(path);
  } catch {
    return null;
  }
}

function answer(request: Request, path: string, stats: Stats): Response {
  const etag = `"${stats.size.toString(36)}-${Math.floor(stats.mtimeMs).toString(36)}"`;
  const hashed = /[.-](?=[A-Za-z0-9]*\d)(?=[A-Za-z0-9]*[A-Za-z])[A-Za-z0-9]{8,64}\.\w+$/.test(path);
  const headers = {
    etag,
    "last-modified": stats.mtime.toUTCString(),
    "cache-control": hashed ? immutable : revalidate,
    "x-content-type-options": "nosniff",
  };
  if (isFresh(request.headers, etag, stats.mtime)) return new Response(null, { status: 304, headers });
  return new Response(Bun.file(path), { headers });
}
