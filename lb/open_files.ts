/**
 * How many clients a process can hold within its open files: each is one, and a request has a connection to a target besides. Where
 * every target has max_connections there are no more of those than that, however many clients there are. What the machine allows is
 * ops/machine.ts'; who counts clients is connections.ts.
 */
import { partOf } from "../src/config/divide.ts";
import type { Config } from "../src/config/options.ts";
import { log } from "../src/ops/log.ts";
import { checkOpenFiles, connectionsThatFit } from "../src/ops/machine.ts";
import { wantedOf } from "./control/wanted.ts";

/** Of so many connections that may be open, with at most `toTargets` of them to targets; Infinity where a target has no limit. */
export function clientsThatFit(connections: number, toTargets: number): number {
  return toTargets < connections / 2 ? connections - toTargets : Math.floor(connections / 2);
}

/** What was asked for must fit: throws configuration_invalid. The default takes what there is, and says so. */
export function checkRoom(config: Config): void {
  const { connectionsMax, processes, given } = config;
  const place = { index: 1, of: processes };
  const targets = wantedOf(config).services.flatMap((service) => service.targets);
  const rooms = targets.map((target) => partOf(target.connectionsMax, place) || Number.POSITIVE_INFINITY);
  const toTargets = rooms.reduce((sum, room) => sum + room, 0);
  const each = partOf(connectionsMax, place);
  if (given.has("connectionsMax")) {
    const besides = Math.min(each, toTargets);
    const because = `--connections-max=${connectionsMax} over ${processes} processes is ${each} clients each, with ${besides} connections to targets`;
    checkOpenFiles(each + besides, because);
    return;
  }
  const fitting = clientsThatFit(connectionsThatFit(), toTargets);
  if (each <= fitting) return;
  const clients = fitting * processes;
  log.info({ clients }, `the limit of open files leaves room for ${clients} clients at a time`);
}
