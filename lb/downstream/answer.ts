/**
 * The response side of a client's HTTP/1.1 connection: heads as the client's version wants them, the body's framing, and whether the
 * connection lives on after it (RFC 9112 §9.3). Hot: a head is written where it leaves from. Reading requests is http1.ts'.
 */
import type { WriteQueue } from "../../src/io/write_queue.ts";
import type { Fields } from "../../src/wire/fields.ts";
import type { RequestParser } from "../../src/wire/http1/request_parser.ts";
import {
  type BodyFraming,
  type ConnectionField,
  connectionField,
  responseFraming,
  writeResponseHead,
} from "../../src/wire/http1/serialise.ts";
import { type AddedFields, type ResponseHead, switchingProtocols } from "../../src/wire/message.ts";
import type { Balancer } from "../balancer.ts";
import { BodyWriter } from "../body_writer.ts";
import type { LocalResponse } from "../respond.ts";

const nothingAdded: AddedFields = [];

export class Answer {
  /** This response is the connection's last. */
  isLast = false;
  readonly #balancer: Balancer;
  readonly #queue: WriteQueue;
  readonly #writer: BodyWriter;

  constructor(balancer: Balancer, queue: WriteQueue) {
    this.#balancer = balancer;
    this.#queue = queue;
    this.#writer = new BodyWriter(queue);
  }

  /** HTTP/1.0 has no interim responses (RFC 9110 §15.2). */
  interim(head: ResponseHead, request: RequestParser): void {
    if (request.minorVersion === 1) this.#writeHead(head, nothingAdded, "none", "");
  }

  switching(head: ResponseHead, added: AddedFields): void {
    this.#writeHead(head, added, "none", head.status === switchingProtocols ? "Upgrade" : "");
  }

  /** `mayPersist`: the whole request has been read, and the client may send another. */
  head(head: ResponseHead, added: AddedFields, request: RequestParser, mayPersist: boolean): void {
    const { minorVersion, keepsAlive } = request;
    const framing = responseFraming(head, minorVersion);
    this.isLast = !mayPersist || !keepsAlive || framing === "until_close" || this.#balancer.isDraining;
    this.#writer.framing = framing;
    this.#writeHead(head, added, framing, connectionField(this.isLast, minorVersion));
  }

  /** False as WriteQueue.write. */
  body(bytes: Buffer, start: number, end: number): boolean {
    return this.#writer.write(bytes, start, end);
  }

  end(trailers: Fields | undefined): void {
    this.#writer.end(trailers);
  }

  /** Whether a client that was sent less than a whole response can tell. Only a length, or chunks without the last, show it. */
  get showsItsEnd(): boolean {
    return this.#writer.framing !== "until_close" && this.#queue.pendingBytes === 0;
  }

  /** The whole answer to a request that could not be read. */
  refusal({ head, added, body }: LocalResponse): void {
    this.isLast = true;
    this.#writeHead(head, added, "counted", "close");
    this.#queue.write(body, 0, body.length);
  }

  #writeHead(head: ResponseHead, added: AddedFields, framing: BodyFraming, connection: ConnectionField): void {
    const at = this.#queue.reserve(this.#balancer.headRoomBytes);
    this.#queue.commit(writeResponseHead(this.#queue.staged(), at, head, added, framing, connection));
  }
}
