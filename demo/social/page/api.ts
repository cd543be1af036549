/**
 * The application's endpoints as functions: what they answer, and Failed when they refuse. The only place that calls fetch. Who
 * answered, and that a session has ended, is told to who listens.
 */
export interface Person {
  readonly id: string;
  readonly name: string;
  readonly avatar: string | null;
}
export interface Account extends Person {
  readonly email: string;
}
export interface Profile extends Person {
  readonly created_at: string;
}
export interface Post {
  readonly id: string;
  readonly title: string;
  readonly content: string;
  readonly views: number;
  readonly created_at: string;
  /** Absent in the list of one user's posts. */
  readonly author?: Person;
}
export interface Mail {
  readonly id: string;
  readonly subject: string;
  readonly body: string;
  readonly created_at: string;
}
export interface Recommendations {
  readonly calculated_at: string | null;
  readonly people: readonly Person[];
}
/** Where I am signed in. */
export interface Device {
  readonly id: string;
  readonly isCurrent: boolean;
  readonly seen: string;
  readonly ip: string;
  readonly userAgent: string;
}
export interface Draft {
  readonly title: string;
  readonly content: string;
}

interface Refusal {
  readonly message: string;
  readonly fields?: { readonly [name: string]: string };
}

/** A refusal, or no answer at all (status 0). `fields` says what is wrong with each input. */
export class Failed extends Error {
  readonly status: number;
  readonly fields: { readonly [name: string]: string };

  constructor(status: number, message: string, fields: { readonly [name: string]: string } = {}) {
    super(message);
    this.status = status;
    this.fields = fields;
  }
}

let served: (app: string) => void = () => {};
let refusedSession: () => void = () => {};

export function onServed(listener: (app: string) => void): void {
  served = listener;
}

/** An answer of 401 came: to whoever believed to be signed in, the session has ended. */
export function onRefusedSession(listener: () => void): void {
  refusedSession = listener;
}

/** The list may come from the browser's own cache for five minutes, but not after I have changed something in it. */
let popularIsStale = false;

export const api = {
  me: () => call<Account>("GET", "/me"),
  signup: (input: { readonly [name: string]: string }) => call<Account>("POST", "/signup", input),
  login: (input: { readonly [name: string]: string }) => call<Account>("POST", "/login", input),
  logout: () => call<void>("POST", "/logout"),
  devices: () => call<readonly Device[]>("GET", "/me/devices"),
  logoutDevice: (id: string) => call<void>("DELETE", `/me/devices/${encodeURIComponent(id)}`),
  logoutElsewhere: () => call<void>("DELETE", "/me/devices"),
  newest: () => call<readonly Post[]>("GET", "/posts"),
  post: (id: string) => call<Post>("GET", `/posts/${encodeURIComponent(id)}`),
  user: (id: string) => call<Profile>("GET", `/users/${encodeURIComponent(id)}`),
  postsOf: (id: string) => call<readonly Post[]>("GET", `/users/${encodeURIComponent(id)}/posts`),
  mails: () => call<readonly Mail[]>("GET", "/me/mails"),
  recommendations: () => call<Recommendations>("GET", "/me/recommendations"),
  async popular(): Promise<readonly Post[]> {
    const list = await call<readonly Post[]>("GET", "/posts/popular", undefined, popularIsStale ? "reload" : "default");
    popularIsStale = false;
    return list;
  },
  async publish(draft: Draft): Promise<Post> {
    popularIsStale = true;
    return call<Post>("POST", "/posts", draft);
  },
  async edit(id: string, draft: Draft): Promise<Post> {
    popularIsStale = true;
    return call<Post>("PUT", `/posts/${encodeURIComponent(id)}`, draft);
  },
};

async function call<T>(method: string, path: string, input?: object, cache: RequestCache = "default"): Promise<T> {
  const response = await fetch(path, {
    method,
    cache,
    ...(input === undefined ? {} : { body: JSON.stringify(input), headers: { "content-type": "application/json" } }),
  }).catch(() => {
    throw new Failed(0, "No answer. Check your connection and try again.");
  });
  const app = response.headers.get("x-served-by");
  if (app !== null) served(app);
  if (response.status === 401) refusedSession();
  if (!response.ok) throw await failure(response);
  return (response.status === 204 ? undefined : await response.json()) as T;
}

async function failure(response: Response): Promise<Failed> {
  const answer = (await response.json().catch(() => undefined)) as { error?: Refusal } | undefined;
  if (answer?.error === undefined)
    return new Failed(response.status, "Something went wrong here. Try again in a moment.");
  if (response.status === 429) return new Failed(429, `Too many tries. Wait ${waitOf(response)} and try again.`);
  if (response.status >= 500) return new Failed(response.status, "Something went wrong here. Try again in a moment.");
  return new Failed(response.status, sentence(answer.error.message), answer.error.fields);
}

function waitOf(response: Response): string {
  const seconds = Number(response.headers.get("retry-after") ?? 60);
  return seconds > 90 ? `${Math.ceil(seconds / 60)} minutes` : `${seconds} seconds`;
}

/** "log in first" → "Log in first." */
export function sentence(message: string): string {
  const upper = message.charAt(0).toUpperCase() + message.slice(1);
  return /[.!?]$/.test(upper) ? upper : `${upper}.`;
}
