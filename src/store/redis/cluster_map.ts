/**
 * Who has which slot of a Cluster, as far as is known here: asked of the Cluster at first use, when a server says that a slot has moved, and
 * again and again while a primary does not answer, because nobody tells a client of its successor. One for all connections of a
 * store. What is sent where is cluster.ts.
 */
import { messageOf, ScaleError } from "../../std/errors.ts";
import type { ClusterAddress } from "../../std/redis_url.ts";
import { askOnce } from "./client.ts";
import { hintFor } from "./hints.ts";
import { hostIn, type Slots, slotsIn } from "./slots.ts";

const followMsMin = 50;
const followMsMax = 400;
/** While nobody answers, so often is asked at most, whatever is wanted meanwhile. */
const askMsMin = 50;

/** Something that needs all its primaries to answer. */
export interface Follower {
  readonly state: "connecting" | "ready" | "down" | "closed";
}

export class ClusterMap {
  readonly #address: ClusterAddress;
  readonly #listeners = new Set<() => void>();
  #slots: Slots | undefined;
  #asking: Promise<void> | undefined;
  /** Those who are cut off from a primary. */
  readonly #followers = new Set<Follower>();
  #following = false;
  /** How the last question failed, if that was just now. */
  #refused: { readonly error: ScaleError; readonly at: number } | undefined;

  constructor(address: ClusterAddress) {
    this.#address = address;
  }

  /** HOST:PORT of every primary; none before the first answer. */
  get primaries(): readonly string[] {
    return this.#slots?.addresses ?? [];
  }

  /** For people. */
  get place(): string {
    const { primaries } = this;
    if (primaries.length === 0) return `the Redis Cluster of ${this.#address.seeds.join(", ")}`;
    return `a Redis Cluster with the primaries ${primaries.toSorted().join(", ")}`;
  }

  ownerOf(slot: number): string | undefined {
    return this.#slots?.ownerOf(slot);
  }

  urlOf(address: string): string {
    return this.#address.urlOf(address);
  }

  /** Calls back after each answer; returns what ends that. */
  onAnswer(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** A server said so itself. Where else things have moved is asked behind it. */
  moved(slot: number, address: string): void {
    this.#slots?.assign(slot, slot, address);
    this.ask().catch(() => undefined);
  }

  /** Asks for the whole map; whoever asks meanwhile shares the answer. Throws ScaleError. */
  ask(): Promise<void> {
    const refused = this.#refused;
    if (refused !== undefined && performance.now() - refused.at < askMsMin) return Promise.reject(refused.error);
    this.#asking ??= this.#askInTurn().finally(() => (this.#asking = undefined));
    return this.#asking;
  }

  /** Asks again and again, until the follower is ready or closed. */
  follow(follower: Follower): void {
    this.#followers.add(follower);
    if (!this.#following) void this.#askAgain();
  }

  async #askAgain(): Promise<void> {
    this.#following = true;
    for (let pauseMs = followMsMin; this.#followers.size > 0; pauseMs = Math.min(followMsMax, pauseMs * 2)) {
      await this.ask().catch(() => undefined);
      await Bun.sleep(pauseMs * (0.5 + Math.random()));
      for (const follower of this.#followers)
        if (follower.state === "ready" || follower.state === "closed") this.#followers.delete(follower);
    }
    this.#following = false;
  }

  /** Any server knows the map; one that is gone, or cut off, must not be asked first each time. */
  async #askInTurn(): Promise<void> {
    const servers = shuffled([...new Set([...this.primaries, ...this.#address.seeds])]);
    const reasons = new Set<string>();
    for (const server of servers) {
      try {
        const reply = await askOnce(this.urlOf(server), "map", (client) => client.cluster("SLOTS"));
        const slots = slotsIn(reply, hostIn(server));
        // One that has left the Cluster, or has yet to join it.
        if (slots.addresses.length === 0) throw new Error(`${server} knows of none`);
        this.#slots = slots;
        for (const listener of this.#listeners) listener();
        return;
      } catch (error) {
        reasons.add(messageOf(error));
      }
    }
    const error = new ScaleError(
      "store_unavailable",
      `none of the Redis Cluster's servers ${servers.join(", ")} says who has which slot: ${[...reasons].join(", ")}`,
      {
        hint: hintFor(
          [...reasons].join(", "),
          "check that they are up and reachable, and that they are a Cluster (CLUSTER INFO)",
        ),
      },
    );
    this.#refused = { error, at: performance.now() };
    throw error;
  }
}

function shuffled(servers: readonly string[]): string[] {
  return servers
    .map((server) => ({ server, at: Math.random() }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ server }) => server);
}
