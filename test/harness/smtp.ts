// A mail server that takes every mail and keeps it: RFC 5321's smallest part.
import { createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";

export interface MailServer extends AsyncDisposable {
  /** smtp://127.0.0.1:PORT */
  readonly url: string;
  /** Headers and body of each mail, as they came. */
  readonly mails: readonly string[];
}

export async function startMailServer(): Promise<MailServer> {
  const mails: string[] = [];
  const server = createServer((socket) => converse(socket, mails));
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, "127.0.0.1", resolve);
  await promise;
  return {
    url: `smtp://127.0.0.1:${(server.address() as AddressInfo).port}`,
    mails,
    [Symbol.asyncDispose]: () => new Promise((closed) => server.close(() => closed())),
  };
}

function converse(socket: Socket, mails: string[]): void {
  let pending = "";
  let inMail = false;
  socket.write("220 ready\r\n");
  socket.on("error", () => socket.destroy());
  socket.on("data", (chunk) => {
    pending += chunk.toString();
    for (;;) {
      const mark = inMail ? "\r\n.\r\n" : "\r\n";
      const end = pending.indexOf(mark);
      if (end < 0) return;
      const said = pending.slice(0, end);
      pending = pending.slice(end + mark.length);
      if (inMail) mails.push(said);
      inMail = !inMail && said.toUpperCase() === "DATA";
      socket.write(`${inMail ? "354 go on" : "250 ok"}\r\n`);
      if (said.toUpperCase() === "QUIT") socket.end();
    }
  });
}
