-- Fills the demo's tables for measurements until they hold demo.users users and demo.posts posts: scale migrate --demo-data=users:N,posts:N.
-- Everything is made by the server, so a million posts travel nowhere. Running it again adds what is missing.

-- user1@demo.example …; the password of each is "demo-password".
insert into users (name, email, password_hash, created_at)
select
  (array['Ada', 'Grace', 'Alan', 'Edsger', 'Barbara', 'Donald', 'Radia', 'Tony', 'Leslie', 'Frances'])[1 + n % 10] || ' ' || n,
  'user' || n || '@demo.example',
  '$argon2id$v=19$m=19456,t=2,p=1$FNSJFYAG+YRas++PKGtqFS2aLAF/kXsDZtsCnP1R7Q8$Ua0Xl28MkpF+W+J/3IeUk+b21BP6BvPQ6ejgntp0pTo',
  now() - interval '1 year' * random()
from generate_series(1, current_setting('demo.users')::int) as n
on conflict (email) do nothing;

-- Oldest first, so that the index by time grows at its end. Few posts have most of the views, as in life.
insert into posts (author_id, title, content, views, created_at)
select
  authors.ids[1 + floor(random() * cardinality(authors.ids))::int],
  'Post ' || n || ' on ' || (array['databases', 'caches', 'queues', 'balancers', 'indexes', 'locks', 'clocks'])[1 + n % 7],
  'Written to be measured. ' || repeat(md5(n::text) || ' ', 5),
  floor(1000000 * random() ^ 12)::int,
  now() - interval '1 year' * ((missing.posts - n + random()) / missing.posts)
from
  (select array_agg(id) as ids from users) as authors,
  (select current_setting('demo.posts')::bigint - count(*) as posts from posts) as missing,
  generate_series(1, missing.posts) as n;

analyze users, posts;
