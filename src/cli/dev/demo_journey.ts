/**
 * The main job, once, on real traffic: two users of the built-in demo sign up through the balancer, an application answers, the
 * worker writes their welcome mail. Prints what happened and whom to log in as. On later starts they are there already.
 */
import { messageOf } from "../../std/errors.ts";
import { formatDuration } from "../../std/units.ts";
import type { Terminal } from "./terminal.ts";

interface User {
  readonly name: string;
  readonly email: string;
  readonly password: string;
  readonly post: { readonly title: string; readonly content: string };
}

/** Known to everyone who reads this: they exist only where `scale dev` made them, in a database on loopback. */
const users: readonly User[] = [
  {
    name: "Ada",
    email: "ada@example.com",
    password: "analytical engine",
    post: {
      title: "Hello from app to worker",
      content: "I signed up through the balancer; the worker wrote my welcome mail.",
    },
  },
  {
    name: "Grace",
    email: "grace@example.com",
    password: "nanoseconds of wire",
    post: {
      title: "One binary, three roles",
      content: "The same file is the balancer, the application server and the worker.",
    },
  },
];

const mailWaitMilliseconds = 10_000;
const mailPollMilliseconds = 10;

/** Never fails the start: what goes wrong is said, unless dev is `stopping` meanwhile. */
export async function demoJourney(url: string, terminal: Terminal, stopping: AbortSignal): Promise<void> {
  try {
    for (const user of users) terminal.say(await introduce(url, user));
    terminal.say(`log in as ${users.map((user) => `${user.email} with "${user.password}"`).join(" or ")}`);
  } catch (error) {
    if (!stopping.aborted) terminal.say(`the demo's users could not sign up: ${messageOf(error)}`);
  }
}

async function introduce(url: string, user: User): Promise<string> {
  const { name, email, password, post } = user;
  const startedAt = performance.now();
  const signup = await send(url, "/signup", { name, email, password });
  if (signup.status === 409) return `${name} is signed up from an earlier start`;
  if (signup.status !== 201) throw new Error(`POST /signup answered ${signup.status}: ${await signup.text()}`);
  const answeredAt = performance.now();
  const cookie = signup.headers.get("set-cookie")?.split(";")[0] ?? "";
  await send(url, "/posts", post, cookie);
  const arrived = await mailArrives(url, cookie);
  const who = signup.headers.get("x-served-by") ?? "an application";
  const mail = arrived
    ? `the worker's welcome mail came ${formatDuration(performance.now() - answeredAt)} later`
    : `no welcome mail after ${formatDuration(mailWaitMilliseconds)}: is the worker up?`;
  return `${name} signed up: ${who} answered in ${formatDuration(answeredAt - startedAt)}, ${mail}`;
}

function send(url: string, path: string, body: object, cookie = ""): Promise<Response> {
  const headers = { "content-type": "application/json", ...(cookie ? { cookie } : {}) };
  return fetch(url + path, { method: "POST", headers, body: JSON.stringify(body) });
}

async function mailArrives(url: string, cookie: string): Promise<boolean> {
  const deadline = performance.now() + mailWaitMilliseconds;
  while (performance.now() < deadline) {
    const response = await fetch(`${url}/me/mails`, { headers: { cookie } });
    if (response.ok && JSON.stringify(await response.json()).includes("subject")) return true;
    await Bun.sleep(mailPollMilliseconds);
  }
  return false;
}
