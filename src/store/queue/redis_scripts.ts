/**
 * Every transition of states.ts on Redis, one Lua script each: atomic, and run on the server's clock. Who calls them is redis.ts and
 * redis_consumer.ts.
 *
 * Keys of a queue, all with its hash tag {NAMESPACE:q:NAME}:
 *      :stream        available and running jobs; a lease is a pending entry of the group `workers`. Those of high and low priority
 *                     have a stream of their own, :stream-high and :stream-low
 *      :delayed       sorted set of scheduled and retryable jobs: id → due, in ms        :delayed:jobs   hash: id → envelope
 *      :started       hash: entry of a job that began and has no outcome → its mark: how often, `a` behind it where nothing ran beside it.
 *                     An entry that was handed back has it as a second field. One for each stream: :started-high, :started-low
 *      :dead          sorted set of discarded jobs: id → when, in ms                      :dead:jobs      hash: id → envelope
 *      :unique        hash: unique key → id of the job that holds it
 *      :throttled     sorted set of unique keys that hold for a time: key → until when, in ms      :throttled:jobs   hash: key → id
 *      :sequence      number of the last delayed job: an id for what has no stream entry yet
 *      :moved         hash: id → entry, of a job in the stream whose entry is not its id, because it was delayed or put back
 *      :done          sorted set of completed and cancelled jobs: id → until when it is kept   :done:jobs      hash: id → its record
 *      :progress      hash: id → how far a running job is
 *      :cancel        hash: id → since when a running job is told to stop
 *      :control       hash: paused → since when            :counts        hash: outcome → how many
 *      :receipt:OWNER:STEP   round and lost entries of the last outcomes a worker recorded, for ten minutes (redis_receipts.ts)
 * Looking at jobs and steering them is redis_inspector_scripts.ts.
 * There is no key for a single job, and the stream is never trimmed: an entry is deleted with its outcome.
 */
import { packed, type Script, script } from "../redis/script.ts";
import { gates } from "./redis_gate_scripts.ts";
import { clock, fence, group, letter } from "./redis_lease_scripts.ts";
import { receipted } from "./redis_receipts.ts";

/** A unique key is free again once the job that holds it has its outcome; a later holder is left alone. */
export const freeUnique = `
local function free(uniques, unique, id)
  if unique ~= '' and redis.call('HGET', uniques, unique) == id then redis.call('HDEL', uniques, unique) end
end`;

/**
 * Keeps what has ended: scores and records are what ZADD and HSET take. Those that would be forgotten first make room. One command
 * for a whole batch each, because every job comes through here.
 */
const keepDone = `
local function keepDone(done, jobs, most, scores, records)
  if #scores == 0 then return end
  redis.call('ZADD', done, unpack(scores))
  redis.call('HSET', jobs, unpack(records))
  local excess = redis.call('ZCARD', done) - most
  if excess <= 0 then return end
  local old = redis.call('ZRANGE', done, 0, excess - 1)
  redis.call('ZREMRANGEBYRANK', done, 0, excess - 1)
  for i = 1, #old, 1000 do redis.call('HDEL', jobs, unpack(old, i, math.min(i + 999, #old))) end
end`;

/** Nobody is interested any more in how far these are, or told to stop them. */
const forgetNotes = `
local function forgetNotes(progress, cancel, ids)
  if #ids == 0 then return end
  if redis.call('EXISTS', progress) == 1 then redis.call('HDEL', progress, unpack(ids)) end
  if redis.call('EXISTS', cancel) == 1 then redis.call('HDEL', cancel, unpack(ids)) end
end`;

/** What a unique key that holds for a time says. KEYS of a script with it: delayed, delayed:jobs, unique, throttled, throttled:jobs, … */
export const throttle = `
local function throttledBy(unique, moment)
  local ends = redis.call('ZSCORE', KEYS[4], unique)
  return ends and tonumber(ends) > moment and redis.call('HGET', KEYS[5], unique)
end
local function throttle(unique, ends, id)
  redis.call('ZADD', KEYS[4], ends, unique)
  redis.call('HSET', KEYS[5], unique, id)
end`;

/**
 * → available | scheduled. KEYS: delayed, delayed:jobs, unique, throttled, throttled:jobs, the gates'. ARGV: most jobs the queue may hold, then
 * of each job its envelope, delay in ms, unique key or ''. Returns the number of jobs the queue held, and the ids where there is room for
 * all. An envelope that is not put into a stream at once gets its id spliced in behind its first brace; others take the id of their entry.
 * Numbers in ids have one length, because what is due at the same moment is in the order of its ids.
 */
const enqueueing = ({ facts, throttled, append, note }: EnqueueSteps) =>
  script(`${gates}${throttle}
local held = available() + redis.call('ZCARD', KEYS[1])
local ids = {tostring(held)}
if held + (#ARGV - 1) / ${facts} > tonumber(ARGV[1]) then return ids end
local moment = now()
local function under(id, envelope) return '{"id":"' .. id .. '",' .. string.sub(envelope, 2) end
local function newId() return string.format('%.0f-d%s', moment, number()) end
for i = 2, #ARGV, ${facts} do
  local envelope, delay, unique = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2]
  local id = unique ~= '' and redis.call('HGET', KEYS[3], unique)${throttled}
  if not id then
    if delay == 0 then
      ${append}
    else
      id = newId()
      redis.call('ZADD', KEYS[1], moment + delay, id)
      redis.call('HSET', KEYS[2], id, under(id, envelope))
    end
    if unique ~= '' then redis.call('HSET', KEYS[3], unique, id) end
    ${note}
  end
  ids[#ids + 1] = id
end
return ids`);

/** What enqueueing does beyond what all jobs need. */
interface EnqueueSteps {
  /** How many each job has in ARGV. */
  readonly facts: number;
  readonly throttled: string;
  readonly append: string;
  readonly note: string;
}

/** Of jobs with neither gates nor a priority nor a throttle: they are the many. */
export const enqueue = enqueueing({
  facts: 3,
  throttled: "",
  append: "id = redis.call('XADD', streams[''], '*', 'job', envelope)",
  note: "",
});
/** Of any; a fourth fact says for how long in ms its unique key holds in any case, or 0. */
export const enqueueAny = enqueueing({
  facts: 4,
  throttled: " or tonumber(ARGV[i + 3]) > 0 and throttledBy(unique, moment)",
  append: `local header = headerOf(envelope)
      if gatesOf(header) then
        id = newId()
        pass(id, under(id, envelope))
      else id = append(envelope, header) end`,
  note: "if tonumber(ARGV[i + 3]) > 0 then throttle(unique, moment + ARGV[i + 3], id) end",
});

/**
 * scheduled | retryable → available; and what time gives back of gates. KEYS: delayed, delayed:jobs, the gates'. ARGV: most jobs. Returns
 * ms to the next that is due, or -1.
 */
export const promote = script(`${gates}
local moment = now()
freeWindows()
local due = redis.call('ZRANGE', KEYS[1], '-inf', moment, 'BYSCORE', 'LIMIT', 0, ARGV[1])
if #due > 0 then
  local envelopes = redis.call('HMGET', KEYS[2], unpack(due))
  redis.call('ZREM', KEYS[1], unpack(due))
  redis.call('HDEL', KEYS[2], unpack(due))
  for i, id in ipairs(due) do
    if envelopes[i] then pass(id, envelopes[i]) end
  end
end
local nextDue = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
local nextFree = redis.call('EXISTS', parked) == 1 and redis.call('ZRANGE', windows, 0, 0, 'WITHSCORES')[2]
if not nextDue and not nextFree then return -1 end
return math.max(0, math.ceil(math.min(nextDue or math.huge, nextFree or math.huge) - moment))`);

/** What a script that ends or delays jobs does about their gates. */
interface GateSteps {
  /** Functions of Lua, `now` among them. */
  readonly gates: string;
  /** `ran`: says in Lua whether an attempt had this outcome. */
  readonly leave: (keep: boolean, ran: string) => string;
}

/** Of one script two: for jobs without gates, who are the many, and, with the gates' keys behind its own, for any. */
function variants(make: (steps: GateSteps) => Script): { readonly plain: Script; readonly any: Script } {
  return {
    plain: make({ gates: clock, leave: () => "" }),
    any: make({ gates, leave: (keep, ran) => `leaveGates(id, ${keep}, ${ran})` }),
  };
}

/**
 * running → completed | cancelled. KEYS: stream, unique, moved, done, done:jobs, progress, cancel, counts, started. ARGV: owner,
 * first, last, outcome, most kept, then of each lease entry, deliveries, id, unique key or '', how long it is kept in ms (0: not at all), its record. Returns
 * lost entries. What can be one command for the batch is one: every job comes through here.
 */
const completing = ({ gates, leave }: GateSteps) =>
  receipted(`${fence}${gates}${freeUnique}${keepDone}${forgetNotes}
local lost, left, ended, scores, records = {}, {}, {}, {}, {}
local moment = now()
for i = 6, #ARGV, 6 do
  local entry, id, keep = ARGV[i], ARGV[i + 2], tonumber(ARGV[i + 4])
  if ours(entry, ARGV[i + 1]) then
    left[#left + 1] = entry
    if entry ~= id then redis.call('HDEL', KEYS[3], id) end
    free(KEYS[2], ARGV[i + 3], id)
    ended[#ended + 1] = id
    if keep > 0 then
      scores[#scores + 1] = moment + keep
      scores[#scores + 1] = id
      records[#records + 1] = id
      records[#records + 1] = ARGV[i + 5]
    end
  else lost[#lost + 1] = entry end
end
if #left == 0 then return lost end
redis.call('XACK', KEYS[1], '${group}', unpack(left))
redis.call('XDEL', KEYS[1], unpack(left))
redis.call('HDEL', KEYS[9], unpack(left))
redis.call('HINCRBY', KEYS[8], ARGV[4], #ended)
forgetNotes(KEYS[6], KEYS[7], ended)
keepDone(KEYS[4], KEYS[5], tonumber(ARGV[5]), scores, records)
for _, id in ipairs(ended) do ${leave(false, "ARGV[4] == 'completed'")} end
return lost`);
export const complete = variants(completing);

/**
 * running → retryable (retry) | scheduled (postpone). KEYS: stream, delayed, delayed:jobs, moved, counts, started. ARGV: owner, first, last, then of each
 * lease entry, deliveries, id, delay in ms, amended envelope, 1 where it counts as retried. Returns lost entries.
 */
const delaying = ({ gates, leave }: GateSteps) =>
  receipted(`${fence}${gates}
local lost = {}
for i = 4, #ARGV, 6 do
  local id = ARGV[i + 2]
  if ours(ARGV[i], ARGV[i + 1]) then
    leave(KEYS[4], KEYS[6], ARGV[i], id)
    redis.call('ZADD', KEYS[2], now() + ARGV[i + 3], id)
    redis.call('HSET', KEYS[3], id, ARGV[i + 4])
    redis.call('HINCRBY', KEYS[5], 'retried', ARGV[i + 5])
    ${leave(true, "ARGV[i + 5] == '1'")}
  else lost[#lost + 1] = ARGV[i] end
end
return lost`);
export const delay = variants(delaying);

/**
 * running → available (release). KEYS: stream, moved, started. ARGV: owner, first, last, then of each lease entry, deliveries, id, amended envelope. Returns
 * lost entries.
 */
export const release = receipted(`${fence}
${letter}
local lost = {}
for i = 4, #ARGV, 4 do
  if ours(ARGV[i], ARGV[i + 1]) then
    leave(KEYS[2], KEYS[3], ARGV[i], ARGV[i + 2])
    redis.call('HSET', KEYS[2], ARGV[i + 2], redis.call('XADD', KEYS[1], '*', 'job', ARGV[i + 3]) .. letter)
  else lost[#lost + 1] = ARGV[i] end
end
return lost`);

/**
 * running → discarded. KEYS: stream, dead, dead:jobs, unique, moved, progress, cancel, counts, started. ARGV: owner, first, last, most dead letters kept,
 * then of each lease entry, deliveries, id, unique key or '', amended envelope. Returns lost entries. The oldest dead letters make room.
 */
const discarding = ({ gates, leave }: GateSteps) =>
  receipted(`${fence}${gates}${freeUnique}${forgetNotes}
local lost, ended = {}, {}
for i = 5, #ARGV, 5 do
  local entry, id = ARGV[i], ARGV[i + 2]
  if ours(entry, ARGV[i + 1]) then
    leave(KEYS[5], KEYS[9], entry, id)
    free(KEYS[4], ARGV[i + 3], id)
    redis.call('ZADD', KEYS[2], now(), id)
    redis.call('HSET', KEYS[3], id, ARGV[i + 4])
    ended[#ended + 1] = id
    ${leave(false, "false")}
  else lost[#lost + 1] = entry end
end
if #ended > 0 then redis.call('HINCRBY', KEYS[8], 'discarded', #ended) end
forgetNotes(KEYS[6], KEYS[7], ended)
local excess = redis.call('ZCARD', KEYS[2]) - ARGV[4]
if excess > 0 then
  for _, id in ipairs(redis.call('ZRANGE', KEYS[2], 0, excess - 1)) do redis.call('HDEL', KEYS[3], id) end
  redis.call('ZREMRANGEBYRANK', KEYS[2], 0, excess - 1)
end
return lost`);
export const discard = variants(discarding);

/** How far running jobs are. KEYS: stream, progress. ARGV: owner, first, last, then of each lease entry, deliveries, id, value. Returns lost entries. */
export const report = packed(`${fence}
local lost = {}
for i = 4, #ARGV, 4 do
  if ours(ARGV[i], ARGV[i + 1]) then redis.call('HSET', KEYS[2], ARGV[i + 2], ARGV[i + 3])
  else lost[#lost + 1] = ARGV[i] end
end
return lost`);
