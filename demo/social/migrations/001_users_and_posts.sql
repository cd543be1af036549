-- Ids are 64-bit and leave the database as text. An e-mail is stored in lower case, so that one address is one account.
create table users (
  id bigint generated always as identity primary key,
  name text not null,
  email text not null,
  password_hash text not null,
  avatar text, -- address of a picture; without one the page draws the initials
  created_at timestamptz not null default now()
);

create unique index idx_users_email on users (email);

create table posts (
  id bigint generated always as identity primary key,
  author_id bigint not null references users (id),
  title text not null,
  content text not null,
  views integer not null default 0,
  created_at timestamptz not null default now()
);

-- Each list is read in the order of its index: newest first, most viewed first, the id breaks ties.
create index idx_posts_author_id on posts (author_id, created_at desc, id desc);
create index idx_posts_created_at on posts (created_at desc, id desc);
create index idx_posts_views on posts (views desc, id desc);
