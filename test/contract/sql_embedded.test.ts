/** The contract on the embedded database. */
import { afterAll, beforeAll, setDefaultTimeout } from "bun:test";

import { type EmbeddedServer, startEmbedded } from "../harness/embedded.ts";
import { migrateContract } from "./migrate_contract.ts";
import { opener, sqlContract } from "./sql_contract.ts";

setDefaultTimeout(60_000);

let server: EmbeddedServer;
beforeAll(async () => {
  server = await startEmbedded();
});
afterAll(() => server.remove());
const open = opener(() => server.url);

sqlContract("embedded PostgreSQL 18", open);
migrateContract("embedded PostgreSQL 18", open);
