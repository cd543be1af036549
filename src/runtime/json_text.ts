/** JSON that Postgres has built: sent and cached as it is, never decoded on the way. */

/** A class, so that an application's own object with a field "json" is not taken for it. */
export class JsonText {
  readonly json: string;

  constructor(json: string) {
    this.json = json;
  }
}
