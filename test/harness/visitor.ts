// Someone who uses a service over HTTP: keeps cookies as a browser does, sends and reads JSON.
// Invariant: one visitor is one session; two visitors share nothing.

export interface Answer<T = unknown> {
  readonly status: number;
  readonly headers: Headers;
  /** Parsed where it is JSON, else undefined. */
  readonly body: T;
  readonly text: string;
}

export class Visitor {
  readonly #url: string;
  readonly #cookies = new Map<string, string>();

  constructor(url: string) {
    this.#url = url;
  }

  get<T = unknown>(path: string): Promise<Answer<T>> {
    return this.ask<T>("GET", path);
  }

  post<T = unknown>(path: string, body?: unknown): Promise<Answer<T>> {
    return this.ask<T>("POST", path, body);
  }

  put<T = unknown>(path: string, body?: unknown): Promise<Answer<T>> {
    return this.ask<T>("PUT", path, body);
  }

  /** A string is sent as it is, anything else as JSON. */
  async ask<T = unknown>(method: string, path: string, body?: unknown, headers: HeadersInit = {}): Promise<Answer<T>> {
    const response = await fetch(this.#url + path, {
      method,
      headers: { ...Object.fromEntries(new Headers(headers)), ...this.#cookieHeader() },
      redirect: "manual",
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    for (const line of response.headers.getSetCookie()) this.#keep(line);
    const text = await response.text();
    const isJson = response.headers.get("content-type")?.startsWith("application/json") ?? false;
    return {
      status: response.status,
      headers: response.headers,
      text,
      body: (isJson ? JSON.parse(text) : undefined) as T,
    };
  }

  #cookieHeader(): { readonly cookie?: string } {
    if (this.#cookies.size === 0) return {};
    return { cookie: [...this.#cookies].map(([name, value]) => `${name}=${value}`).join("; ") };
  }

  #keep(line: string): void {
    const { name, value, maxAge } = Bun.Cookie.parse(line);
    if (value === "" || maxAge === 0) this.#cookies.delete(name);
    else this.#cookies.set(name, value);
  }
}
