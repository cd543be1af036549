import { expect, test } from "bun:test";

import type { CrashReport } from "../harness/crash.ts";
import { judge } from "../harness/crash/judge.ts";
import { seeded } from "../harness/seeded.ts";

const calm: CrashReport = {
  kills: [],
  acknowledged: new Set(["default:1000-0"]),
  effects: new Set(["default:1000-0"]),
  executions: [{ job: "default:1000-0", attempt: 1, pid: 7, beganAt: 1_010 }],
  completions: new Map([["default:1000-0", 1]]),
  left: { waiting: 0, delayed: 0, running: 0, dead: 0 },
};
const again = [...calm.executions, { job: "default:1000-0", attempt: 2, pid: 8, beganAt: 3_000 }];

test("a run in which everything held has no complaints", () => expect(judge(calm, true)).toEqual([]));

test("a job that was acknowledged and has no effect is lost, but for what a forgetful Redis held when it was killed", () => {
  const lost = { ...calm, effects: new Set<string>() };
  expect(judge(lost, true)).toEqual(["1 acknowledged jobs were lost: default:1000-0"]);
  expect(judge(lost, false)).toEqual(["1 acknowledged jobs were lost: default:1000-0"]);
  const killed = { ...lost, kills: [{ what: "redis", pid: 1, at: 1_500 }] } as const;
  expect(judge(killed, false)).toEqual([]);
  expect(judge(killed, true)).toHaveLength(1);
});

test("a completion counts once, and a dead letter is one too many", () => {
  expect(judge({ ...calm, completions: new Map([["default:1000-0", 2]]) }, true)).toEqual([
    "1 jobs were completed twice: default:1000-0",
  ]);
  expect(judge({ ...calm, left: { ...calm.left, dead: 1 } }, true)).toEqual(["1 jobs are dead letters"]);
});

test("a second execution needs a crash that explains it", () => {
  const complaint = ["1 jobs ran again without a crash: default:1000-0"];
  const withKill = (what: "worker" | "redis", pid: number, at: number) =>
    judge({ ...calm, executions: again, kills: [{ what, pid, at }] }, true);
  expect(judge({ ...calm, executions: again }, true)).toEqual(complaint);
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
