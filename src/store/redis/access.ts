/** From a URL to ways to a Redis: one server, one that Sentinels watch, or a Cluster. */
import { isClusterUrl, parseClusterUrl } from "../../std/redis_url.ts";
import { RedisCluster } from "./cluster.ts";
import { ClusterMap } from "./cluster_map.ts";
import { type RedisAccess, RedisConnection, type RedisOptions } from "./connection.ts";

/** Opens one more way to that Redis. What several ways to a Cluster know of it they share. */
export type OpenRedis = (options: RedisOptions) => RedisAccess;

export function redisAt(url: string): OpenRedis {
  if (!isClusterUrl(url)) return (options) => new RedisConnection(url, options);
  const map = new ClusterMap(parseClusterUrl(url));
  return (options) => new RedisCluster(map, options);
}
