// Who waits for statements until the test says that it has left, as a client that closes its connection.
import { ScaleError } from "../../src/std/errors.ts";
import type { Owner } from "../../src/store/sql/sql.ts";

export class Leaver implements Owner {
  left: ScaleError | undefined;

  leave(): void {
    this.left = new ScaleError("client_gone", "the client has left");
  }
}
