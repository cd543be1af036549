/** The keys of queues on Redis. What they hold is said in redis_scripts.ts. */

/** The keys of one queue; all in one slot of a cluster. */
export interface QueueKeys {
  readonly stream: string;
  readonly started: string;
  readonly delayed: string;
  readonly delayedJobs: string;
  readonly dead: string;
  readonly deadJobs: string;
  readonly unique: string;
  readonly sequence: string;
  readonly known: string;
  readonly ticks: string;
  readonly moved: string;
  readonly done: string;
  readonly doneJobs: string;
  readonly progress: string;
  readonly cancel: string;
  readonly control: string;
  readonly counts: string;
  /** With an owner and a step behind it. */
  readonly receipt: string;
}

export function keysOf(namespace: string, queue: string): QueueKeys {
  const tag = `{${namespace}:q:${queue}}`;
  return {
    stream: `${tag}:stream`,
    started: `${tag}:started`,
    delayed: `${tag}:delayed`,
    delayedJobs: `${tag}:delayed:jobs`,
    dead: `${tag}:dead`,
    deadJobs: `${tag}:dead:jobs`,
    unique: `${tag}:unique`,
    sequence: `${tag}:sequence`,
    known: `${tag}:known`,
    ticks: `${tag}:ticks`,
    moved: `${tag}:moved`,
    done: `${tag}:done`,
    doneJobs: `${tag}:done:jobs`,
    progress: `${tag}:progress`,
    cancel: `${tag}:cancel`,
    control: `${tag}:control`,
    counts: `${tag}:counts`,
    receipt: `${tag}:receipt`,
  };
}

/** Set of the names of all queues of a namespace. */
export function queuesKey(namespace: string): string {
  return `{${namespace}:q}:queues`;
}
