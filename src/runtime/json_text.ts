/** JSON that Postgres has built: sent as it is, cached as it is, never decoded on the way. */

/** A class, so that an application's own object with a field "json" is not taken for it. */
export class JsonText {
  /** What a response has for its body: the bytes as they came, or the text of a cache. */
  readonly body: string | Uint8Array<ArrayBuffer>;

  constructor(body: string | Uint8Array<ArrayBuffer>) {
    this.body = body;
  }

  get json(): string {
    return typeof this.body === "string" ? this.body : new TextDecoder().decode(this.body);
  }
}
