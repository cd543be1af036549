-- Every mail is kept, so that the page can show it where no SMTP server is configured. A user gets each kind once, however often
-- the job that writes it runs.
create table outbox_mails (
  id bigint generated always as identity primary key,
  user_id bigint not null references users (id),
  kind text not null,
  recipient text not null,
  subject text not null,
  body text not null,
  created_at timestamptz not null default now(),
  sent_at timestamptz, -- when an SMTP server took it
  unique (user_id, kind)
);

-- One row a user: an empty list means "calculated, nobody found", a missing row "not yet".
create table recommendations (
  user_id bigint primary key references users (id),
  author_ids bigint[] not null,
  calculated_at timestamptz not null default now()
);
