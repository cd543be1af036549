import { expect, test } from "bun:test";

import type { CrashReport } from "../harness/crash.ts";
import { judge } from "../harness/crash/judge.ts";
import type { RedisForm } from "../harness/crash/redis.ts";
import { seeded } from "../harness/seeded.ts";

const calm: CrashReport = {
  kills: [],
  acknowledged: new Set(["default:1000-0"]),
  effects: new Map([["default:1000-0", 1_020]]),
  executions: [{ job: "default:1000-0", kind: "free", line: "", attempt: 1, pid: 7, beganAt: 1_010 }],
  completions: new Map([["default:1000-0", 1]]),
  left: { waiting: 0, delayed: 0, running: 0, dead: 0, gated: 0 },
};
const again = [...calm.executions, { ...calm.executions[0]!, attempt: 2, pid: 8, beganAt: 3_000 }];

test("a run in which everything held has no complaints", () => expect(judge(calm, "append-only")).toEqual([]));

test("a job that was acknowledged and has no effect is lost, but for what its Redis may lose when it is killed", () => {
  const lost = { ...calm, effects: new Map<string, number>() };
  const forms = ["append-only", "forgetful", "sentinel-memory", "sentinel-replicas"] as const;
  for (const form of forms) expect(judge(lost, form)).toEqual(["1 acknowledged jobs were lost: default:1000-0"]);
  const complaining = (since: number, at: number) => {
    const killed = { ...lost, kills: [{ what: "redis", pid: 1, since, at }] } as const;
    return forms.filter((form) => judge(killed, form).length > 0);
  };
  expect(complaining(1_400, 1_500)).toEqual(["append-only", "sentinel-replicas"]);
  // By then a replica had it.
  expect(complaining(5_000, 5_100)).toEqual(["append-only", "sentinel-memory", "sentinel-replicas"]);
  // It was enqueued after that.
  expect(complaining(800, 900)).toEqual(forms.slice());
});

test("an outcome may be lost with a primary that dies, and then there is another", () => {
  const twice = { ...calm, executions: again, completions: new Map([["default:1000-0", 2]]) };
  const complaints = (since: number, form: RedisForm) =>
    judge({ ...twice, kills: [{ what: "redis", pid: 1, since, at: 2_500 }] }, form);
  expect(complaints(1_100, "sentinel-replicas")).toEqual([]);
  expect(complaints(1_100, "append-only")).toEqual(["1 jobs were completed twice: default:1000-0"]);
  expect(complaints(2_400, "sentinel-replicas")).toEqual(["1 jobs were completed twice: default:1000-0"]);
});

test("a completion counts once, and a dead letter is one too many", () => {
  expect(judge({ ...calm, completions: new Map([["default:1000-0", 2]]) }, "append-only")).toEqual([
    "1 jobs were completed twice: default:1000-0",
  ]);
  expect(judge({ ...calm, left: { ...calm.left, dead: 1 } }, "append-only")).toEqual(["1 jobs are dead letters"]);
});

test("a second execution needs a crash that explains it", () => {
  const complaint = [
    "1 jobs ran again without a crash: default:1000-0 (attempt 1 in 7 at 1010; attempt 2 in 8 at 3000)",
  ];
  const withKill = (what: "worker" | "redis", pid: number, at: number) =>
    judge({ ...calm, executions: again, kills: [{ what, pid, at }] }, "append-only");
  expect(judge({ ...calm, executions: again }, "append-only")).toEqual(complaint);
  expect(withKill("worker", 7, 1_020)).toEqual([]);
  expect(withKill("worker", 8, 1_020)).toEqual(complaint);
  expect(withKill("worker", 7, 500)).toEqual(complaint);
  expect(withKill("worker", 7, 3_500)).toEqual(complaint);
  expect(withKill("redis", 1, 2_000)).toEqual([]);
  expect(withKill("redis", 1, 9_000)).toEqual(complaint);
});

test("the same seed is the same run", () => {
  const [a, b, c] = [seeded(3), seeded(3), seeded(4)];
  const first = Array.from({ length: 50 }, a);
  expect(Array.from({ length: 50 }, b)).toEqual(first);
  expect(Array.from({ length: 50 }, c)).not.toEqual(first);
  expect(first.every((value) => value >= 0 && value < 1)).toBe(true);
});
