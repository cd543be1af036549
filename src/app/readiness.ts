/**
 * Whether role app may receive work. Ready means: entry loaded, every configured store answered once, migrations applied, not
 * draining. What a store does later is in the body and the metrics, never in the status: one blip must not take every app out.
 */
import type { Config } from "../config/options.ts";
import type { Readiness } from "../ops/admin.ts";
import type { Lifecycle } from "../ops/lifecycle.ts";
import { log } from "../ops/log.ts";
import type { Application } from "../runtime/entry.ts";
import { migrate, pendingMigrations } from "../runtime/migrate.ts";
import { migrateOwnTables, pendingOwnTables } from "../runtime/own_tables.ts";
import { connectStores, storeStates } from "../runtime/runtime.ts";
import { messageOf, ScaleError } from "../std/errors.ts";
import type { Sql } from "../store/sql/sql.ts";

const recheckMilliseconds = 1_000;

/** Waits for what readiness needs, reporting meanwhile what it waits for. */
export class Preparation {
  readonly #life: Lifecycle;
  #reason: string | undefined = "starting";

  constructor(life: Lifecycle) {
    this.#life = life;
  }

  /** The answer of /readyz. */
  get readiness(): Readiness {
    const { phase } = this.#life;
    const waiting = phase === "starting" && this.#reason !== undefined;
    return {
      ready: phase === "ready",
      state: phase,
      ...(waiting ? { reason: this.#reason! } : {}),
      stores: storeStates(),
    };
  }

  /** Resolves once the process may become ready, or is draining. */
  async run(config: Config, application: Application, sql: Sql | undefined): Promise<void> {
    this.#reason = "waiting for the first connection to every store";
    await connectStores(this.#life.draining);
    // An application that has no migrations may not want to write to this database at all.
    if (sql && (application.migrations.length > 0 || config.migrate === "auto")) {
      await this.#migrations(config, application, sql);
    }
    this.#reason = undefined;
  }

  async #migrations(config: Config, application: Application, sql: Sql): Promise<void> {
    if (config.migrate === "auto") this.#reason = "applying migrations";
    while (!this.#life.draining.aborted) {
      try {
        if (config.migrate === "auto") {
          await migrateOwnTables(sql);
          return void (await migrate(sql, application.migrations));
        }
        const pending = [...(await pendingMigrations(sql, application.migrations)), ...(await pendingOwnTables(sql))];
        if (pending.length === 0) return;
        this.#say(
          `${pending.length} migrations are pending, first ${pending[0]!.name}. Fix: scale migrate, or --migrate=auto`,
        );
      } catch (error) {
        // A migration that is wrong stays wrong; a database that is away comes back.
        if (error instanceof ScaleError && error.source === "operator") throw error;
        this.#say(`migrations: ${messageOf(error)}`);
      }
      await Bun.sleep(recheckMilliseconds);
    }
  }

  /** Says a reason once, however often it is found again. */
  #say(reason: string): void {
    if (this.#reason !== reason) log.warn({}, `not ready: ${reason}`);
    this.#reason = reason;
  }
}
