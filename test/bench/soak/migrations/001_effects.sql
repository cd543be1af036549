-- How often a job ran to the end of its handler's work: what the soak asks about when all is at rest.
create table effect (job text primary key, times int not null default 1);
-- Attempts of jobs with limits, in milliseconds since the epoch.
create table run (job text not null, kind text not null, line text not null, began float8 not null, ended float8 not null);
-- What transactions write beside the jobs that belong to it.
create table note (id bigint generated always as identity primary key, text text not null);
