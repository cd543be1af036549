/**
 * The welcome mail, a job. It is kept in outbox_mails, which the page shows, and goes out where SMTP_URL names a server. A job may
 * run more than once: user and kind are the row's key and make the Message-ID, so that a second run writes nothing and a receiver
 * can tell a duplicate.
 */
import { job, sql } from "scale";

import { signedIn } from "./signed_in.ts";

interface Mail {
  readonly id: string;
  readonly user_id: string;
  readonly recipient: string;
  readonly subject: string;
  readonly body: string;
  readonly sent_at: Date | null;
}

const smtpTimeoutMs = 10_000;

export const sendWelcomeEmail = job(
  "send_welcome_email",
  async ({ user }: { user: string }) => {
    const mail = await write(user);
    const server = process.env.SMTP_URL;
    if (mail === undefined || mail.sent_at !== null || !server) return;
    await send(mail, server);
    await sql.write`update outbox_mails set sent_at = now() where id = ${mail.id}`;
  },
  { attempts: 5, timeout: "30s" },
);

/** The newest 20 to who is signed in. */
export async function myMails(): Promise<unknown> {
  return sql.json`
    select id::text, subject, body, created_at, sent_at from outbox_mails
    where user_id = ${await signedIn()} order by id desc limit 20`;
}

/** The mail's row, written by this attempt or by an earlier one. */
async function write(user: string): Promise<Mail | undefined> {
  await sql.write`
    insert into outbox_mails (user_id, kind, recipient, subject, body)
    select id, 'welcome', email, 'Welcome, ' || name, ${welcome} from users where id = ${user}
    on conflict (user_id, kind) do nothing`;
  const [mail] = await sql.write<Mail>`
    select id, user_id, recipient, subject, body, sent_at from outbox_mails where user_id = ${user} and kind = 'welcome'`;
  return mail;
}

async function send(mail: Mail, server: string): Promise<void> {
  const { createTransport } = await import("nodemailer");
  const host = new URL(server).hostname;
  const transport = createTransport({
    url: server,
    connectionTimeout: smtpTimeoutMs,
    greetingTimeout: smtpTimeoutMs,
    socketTimeout: smtpTimeoutMs,
  });
  try {
    await transport.sendMail({
      from: { name: "Social", address: `social@${host}` },
      to: mail.recipient,
      subject: mail.subject,
      text: mail.body,
      messageId: `<welcome-${mail.user_id}@${host}>`,
    });
  } finally {
    transport.close();
  }
}

const welcome = `Good to have you here.

Write your first post when you feel like it: it appears at the top of Newest for everyone. What people read most moves up in Popular.

While you read this, a worker has looked for authors you may enjoy. They are under “You may enjoy”.`;
