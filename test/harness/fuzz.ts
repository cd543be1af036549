// Requests that are nearly right: valid ones, changed at random in the places where parsers differ. The same seed gives the same requests.

import { seeded } from "./seeded.ts";

const methods = ["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "BREW", "CONNECT"];
const targets = [
  "/",
  "/a?b=c",
  "/a%20b/c",
  "*",
  "http://other.example/x",
  "HTTP://other.example:81?q",
  "//a",
  "/a/../b",
];
const hosts = ["a", "a.example:8080", "[::1]:80", "A-b_c.example", "127.0.0.1"];
const bytes = [
  "\r",
  "\n",
  "\r\n",
  "\0",
  " ",
  "\t",
  ":",
  ";",
  ",",
  "\x0b",
  "\x7f",
  "\x80",
  "\xff",
  "0",
  "x",
  "/",
  "#",
  "@",
  '"',
];
const lines = [
  "Content-Length: 5",
  "Content-Length: 0",
  "Content-Length: 5000",
  "Content-Length: 70",
  "Content-Length: +5",
  "Content-Length: 5, 5",
  "Content-Length:",
  "Content-Length: 0x5",
  "content-length: 05",
  "Content-Length : 5",
  " Content-Length: 5",
  "Content_Length: 7",
  "Transfer-Encoding: chunked",
  "Transfer-Encoding: Chunked",
  "Transfer-Encoding: gzip, chunked",
  "Transfer-Encoding: chunked, chunked",
  "Transfer-Encoding: identity",
  "Transfer-Encoding : chunked",
  "Transfer-Encoding:\tchunked",
  "Transfer_Encoding: chunked",
  "Transfer-Encoding: chunked;q=1",
  "Transfer-Encoding:",
  "Transfer-Encoding: xchunked",
  "X: y\r\n z",
  "X: y\n",
  "\rX: y",
  ": empty",
  "X",
  "X y: z",
  "Host: b",
  "Host: a/b",
  "host: u@a",
  "Connection: close",
  "Connection: keep-alive",
  "Connection: content-length, host",
  "Connection: Transfer-Encoding",
  "Upgrade: h2c",
  "Connection: Upgrade, HTTP2-Settings",
  "HTTP2-Settings: AAMAAABk",
  "Expect: 100-continue",
  "TE: trailers",
  "Trailer: X",
  "X-Forwarded-For: 1.2.3.4",
  "Keep-Alive: 5",
];
const sizes = [
  "fff",
  "5",
  "05",
  "5;a=b",
  "5 ",
  " 5",
  "+5",
  "0x5",
  "-5",
  "5_",
  "",
  "fffffffffffffffff",
  "5\n",
  "5;a\nb",
  "6",
  "4",
  "0",
];

export class Mutator {
  readonly #random: () => number;

  constructor(seed: number) {
    this.#random = seeded(seed);
  }

  /** One to three requests, of which some are changed; then one that asks to close, or the client breaks off. */
  stream(): string {
    const requests = Array.from({ length: 1 + this.#below(3) }, () => this.#request());
    const changed = requests.map((request) => (this.#below(4) === 0 ? request : this.#mutated(request)));
    const whole = `${changed.join("")}GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`;
    return this.#below(8) === 0 ? whole.slice(0, this.#below(whole.length)) : whole;
  }

  /** Cuts a text into pieces, each to be sent on its own. */
  pieces(text: string): string[] {
    if (this.#below(2) === 0) return [text];
    const at = this.#below(text.length);
    return [text.slice(0, at), text.slice(at)];
  }

  #request(): string {
    const head = [
      `${this.#one(methods)} ${this.#one(targets)} HTTP/1.${this.#below(8) === 0 ? 0 : 1}`,
      `Host: ${this.#one(hosts)}`,
      "X-Plain: yes",
    ];
    const form = this.#below(3);
    if (form === 0) return [...head, "", ""].join("\r\n");
    if (form === 1) return [...head, "Content-Length: 5", "", "hello"].join("\r\n");
    const trailers = this.#below(2) === 0 ? "" : "X-Sum: 1\r\n";
    const size = this.#below(3) === 0 ? this.#one(sizes) : "5";
    return [...head, "Transfer-Encoding: chunked", "", `${size}\r\nhello\r\n1\r\n!\r\n0\r\n${trailers}\r\n`].join(
      "\r\n",
    );
  }

  #mutated(request: string): string {
    let text = request;
    for (let times = 1 + this.#below(3); times > 0; times--) text = this.#mutation(text);
    return text;
  }

  #mutation(text: string): string {
    const at = this.#below(text.length + 1);
    const split = text.split("\r\n");
    const line = 1 + this.#below(Math.max(1, split.length - 2));
    switch (this.#below(8)) {
      case 0:
        return text.slice(0, at) + this.#one(bytes) + text.slice(at);
      case 1:
        return text.slice(0, at) + this.#one(bytes) + text.slice(at + 1);
      case 2:
        return text.slice(0, at) + text.slice(at + 1 + this.#below(4));
      case 3:
        return split.toSpliced(line, 0, split[line] ?? "").join("\r\n");
      case 4:
        return split.toSpliced(line, 1).join("\r\n");
      default:
        return split.toSpliced(line, 0, this.#one(lines)).join("\r\n");
    }
  }

  #one<T>(of: readonly T[]): T {
    return of[this.#below(of.length)]!;
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }
}
