/**
 * Waiting until a replica has what a connection wrote, so that a primary that dies takes no acknowledged job with it. One question
 * (WAIT) at a time for everybody who waits on a connection: it holds the connection up, and answers for all that was written on it before.
 *
 * What it does not promise: a failover may choose a replica that is behind another, and a replica confirms that it has a write in
 * memory, not on disk.
 */
import { ScaleError } from "../../std/errors.ts";
import type { Operation, RedisAccess, RedisConnection } from "../redis/connection.ts";

const replicasMin = 1;
const waitMs = 1_000;
const graceMs = 500;

export class Replicas {
  readonly #redis: RedisAccess;
  readonly #questions = new WeakMap<RedisConnection, Question>();

  constructor(redis: RedisAccess) {
    this.#redis = redis;
  }

  /** Runs a write and resolves with its answer once a replica has it. Rejects where none says so in time: it may have it all the same. */
  async confirmed<T>(what: string, key: string, write: Operation<T>): Promise<T> {
    let written: RedisConnection | undefined;
    const answer = await this.#redis.run(what, key, (client, connection) => {
      written = connection;
      return write(client, connection);
    });
    await this.#questionOn(written!).answered();
    return answer;
  }

  #questionOn(connection: RedisConnection): Question {
    let question = this.#questions.get(connection);
    if (question === undefined) this.#questions.set(connection, (question = new Question(connection)));
    return question;
  }
}

/** The one question at a time on one connection. */
class Question {
  readonly #connection: RedisConnection;
  #asking: Promise<void> = Promise.resolve();
  #next: Promise<void> | undefined;

  constructor(connection: RedisConnection) {
    this.#connection = connection;
  }

  /** Resolves once a replica has everything that has been answered on the connection by now. */
  async answered(): Promise<void> {
    const { connects } = this.#connection;
    this.#next ??= this.#asking.catch(() => undefined).then(() => this.#ask());
    await this.#next;
    // A new connection has written nothing yet, and is told so at once.
    if (this.#connection.connects !== connects) throw unconfirmed("the connection was lost meanwhile");
  }

  #ask(): Promise<void> {
    this.#next = undefined;
    this.#asking = this.#wait();
    return this.#asking;
  }

  async #wait(): Promise<void> {
    const having = await this.#connection.run(
      "wait for a replica",
      "",
      (client) => client.wait(replicasMin, waitMs),
      waitMs + graceMs,
    );
    if (having < replicasMin) throw unconfirmed(`none said so within ${waitMs}ms`);
  }
}

function unconfirmed(reason: string): ScaleError {
  return new ScaleError(
    "store_unavailable",
    `the jobs are in the queue's Redis, but not known to be in a replica: ${reason}`,
    {
      hint: "look at its replicas (INFO replication), or --queue-durability=memory",
    },
  );
}
