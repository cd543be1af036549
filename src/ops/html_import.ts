/**
 * An HTML import becomes routes: the page, and beside it every script, style and picture it was bundled with, under hashed names.
 * In a compiled binary the bundler has put them inside, with a list; from source they are built here, once, at start.
 *
 * Bun.serve would take an HTML import too, but from a compiled binary (Bun 1.4.5) without Cache-Control, with an ETag that lacks its
 * quotes, for every method, and past the access log. What a route may be otherwise is not here.
 */
import { basename } from "node:path";

import type { HtmlImport } from "scale";

import { isFresh } from "../std/conditional.ts";
import { messageOf, ScaleError } from "../std/errors.ts";

/** Served under a name that changes with the content. */
const hashed = "public, max-age=31536000, immutable";
/** Served under a name that stays: asked for again each time, answered with 304. */
const stable = "no-cache";

/** One file of a bundle, in memory. */
interface Asset {
  readonly name: string;
  readonly isPage: boolean;
  readonly type: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** What Bun's bundler adds to an HTML import in a compiled binary; from source there is only `index`. */
interface Bundle extends HtmlImport {
  readonly files?: readonly {
    readonly path: string;
    readonly loader: string;
    readonly headers: { readonly "content-type": string };
  }[];
}

/** A route of `definition.routes` as it serves one file. */
export interface AssetRoute {
  readonly GET: (req: Request) => Response;
}

export function isHtmlImport(value: unknown): value is HtmlImport {
  return typeof value === "object" && value !== null && "index" in value && typeof value.index === "string";
}

/** Path → route, for a page that is to be served at `path` and for all its files. */
export async function assetRoutes(path: string, page: HtmlImport): Promise<{ readonly [path: string]: AssetRoute }> {
  const assets = await assetsOf(page);
  return Object.fromEntries(assets.map((asset) => [asset.isPage ? path : `/${asset.name}`, route(asset)]));
}

function assetsOf(page: Bundle): Promise<readonly Asset[]> {
  return page.files === undefined ? build(page.index) : Promise.all(page.files.map(embedded));
}

async function embedded(file: NonNullable<Bundle["files"]>[number]): Promise<Asset> {
  return {
    name: basename(file.path),
    isPage: file.loader === "html",
    type: file.headers["content-type"],
    bytes: await Bun.file(file.path).bytes(),
  };
}

async function build(index: string): Promise<readonly Asset[]> {
  const naming = { entry: "[name].[ext]", chunk: "[name]-[hash].[ext]", asset: "[name]-[hash].[ext]" };
  try {
    const { outputs } = await Bun.build({ entrypoints: [index], publicPath: "/", minify: true, naming });
    return await Promise.all(outputs.map(built));
  } catch (error) {
    throw new ScaleError("entry_invalid", `${index} cannot be bundled: ${messageOf(error)}`, { cause: error });
  }
}

async function built(output: Bun.BuildArtifact): Promise<Asset> {
  return {
    name: basename(output.path),
    isPage: output.path.endsWith(".html"),
    type: output.type,
    bytes: new Uint8Array(await output.arrayBuffer()),
  };
}

function route({ bytes, type, isPage }: Asset): AssetRoute {
  const etag = `"${Bun.hash(bytes).toString(36)}"`;
  const headers = { etag, "cache-control": isPage ? stable : hashed };
  return {
    GET: (req) =>
      isFresh(req.headers, etag)
        ? new Response(null, { status: 304, headers })
        : new Response(bytes, { headers: { ...headers, "content-type": type } }),
  };
}
