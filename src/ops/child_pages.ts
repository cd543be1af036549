/**
 * An operator's pages where several processes are one: the supervisor has none of its own and asks for them over the channel. What a
 * page says is in the store and so the same whichever process is asked; where each has its own part of it, all are asked, and `merges`
 * says what they make together. Who may ask is admin.ts'.
 */
import { messageOf, ScaleError } from "../std/errors.ts";
import type { AdminPages } from "./admin.ts";
import type { Asked } from "./channel.ts";

/** Path → what the JSON of all processes makes together. */
export interface Merges {
  readonly [path: string]: (answers: readonly never[]) => unknown;
}

/** A request, as far as a page may look at it; its body is text. */
export interface AskedPage {
  readonly method: string;
  /** Path and query. */
  readonly target: string;
  readonly headers: Fields;
  readonly body?: string;
}

type Fields = readonly (readonly [name: string, value: string])[];

/** Base64: a page may have pictures. */
interface AnsweredPage {
  readonly status: number;
  readonly headers: Fields;
  readonly body: string;
}

/** Whom the supervisor asks. */
interface Children {
  ask(asked: Asked, milliseconds: number): Promise<readonly unknown[]>;
  askOne(asked: Asked, milliseconds: number): Promise<unknown>;
}

/** A search through a long queue takes its time. */
const answerMilliseconds = 5_000;

/** Of the supervisor: what its processes answer to a request for a page. */
export async function pageOfChildren(children: Children, merges: Merges, request: Request): Promise<Response> {
  const { pathname, search } = new URL(request.url);
  const body = await request.text();
  const about: AskedPage = {
    method: request.method,
    target: pathname + search,
    headers: [...request.headers],
    ...(body === "" ? {} : { body }),
  };
  const asked: Asked = { question: "page", about };
  try {
    const merge = request.method === "GET" ? merges[pathname] : undefined;
    if (merge === undefined) return response((await children.askOne(asked, answerMilliseconds)) as AnsweredPage);
    return await merged((await children.ask(asked, answerMilliseconds)) as readonly AnsweredPage[], merge);
  } catch (error) {
    return new Response(`none of the processes answers: ${messageOf(error)}\n`, { status: 503 });
  }
}

/** Of a child. Never rejects. */
export async function answerPage(
  pages: AdminPages,
  { method, target, headers, body }: AskedPage,
): Promise<AnsweredPage> {
  const request = new Request(`http://supervisor${target}`, {
    method,
    headers: headers as [string, string][],
    ...(body === undefined ? {} : { body }),
  });
  const answer = await pageOf(pages, request);
  return { status: answer.status, headers: [...answer.headers], body: (await answer.bytes()).toBase64() };
}

async function pageOf(pages: AdminPages, request: Request): Promise<Response> {
  const methods = pages[new URL(request.url).pathname];
  const page = methods?.[request.method as "GET" | "POST"];
  if (page === undefined) return noSuchPage(pages);
  try {
    return await page(request);
  } catch (error) {
    return new Response(`${messageOf(error)}\n`, { status: 500 });
  }
}

/** With what there is. */
export function noSuchPage(pages: AdminPages): Response {
  const entrances = Object.keys(pages).filter((path) => !path.includes(".") && path.split("/").length === 2);
  const paths = ["/healthz", "/readyz", "/metrics", ...entrances];
  return new Response(`admin listener: ${paths.join(" ")}\n`, { status: 404 });
}

function response({ status, headers, body }: AnsweredPage): Response {
  const bytes = Uint8Array.fromBase64(body);
  return new Response(bytes.length === 0 ? null : bytes, { status, headers: headers as [string, string][] });
}

/** Of those that could answer; where none could, what the first says. */
async function merged(answers: readonly AnsweredPage[], merge: Merges[string]): Promise<Response> {
  const able = answers.filter(({ status }) => status === 200);
  const [first] = able.length > 0 ? able : answers;
  if (first === undefined) throw new ScaleError("overloaded", "no answer in time");
  if (able.length === 0) return response(first);
  const values = await Promise.all(able.map((answer) => response(answer).json()));
  return Response.json(merge(values as never[]), { headers: first.headers as [string, string][] });
}
