/** When the map of a Cluster is asked for again. What the servers answer is in test/contract/redis_cluster.test.ts. */
import { expect, test } from "bun:test";

import { ClusterMap, type Follower } from "../../src/store/redis/cluster_map.ts";
import { eventually } from "../harness/eventually.ts";

/** Nobody is asked, only that somebody would be is counted. */
class CountedMap extends ClusterMap {
  asked = 0;

  constructor() {
    super({ seeds: [], urlOf: (address) => address });
  }

  override ask(): Promise<void> {
    this.asked++;
    return Promise.resolve();
  }
}

test("one who is cut off again, before it was seen to be back, is not followed twice", async () => {
  const map = new CountedMap();
  const follower: { state: Follower["state"] } = { state: "connecting" };
  map.follow(follower);
  map.follow(follower);
  expect(map.asked).toBe(1);
  await eventually(() => map.asked > 1);
  follower.state = "ready";
});

test("one who is cut off after the map was not asked for any more is followed anew", async () => {
  const map = new CountedMap();
  const follower: { state: Follower["state"] } = { state: "ready" };
  // Seen to be back after one question; each of the next is another's.
  for (let questions = 1; questions <= 2; questions++) {
    await eventually(() => {
      map.follow(follower);
      return map.asked >= questions;
    });
  }
});
