/**
 * Looking at jobs, and the transitions that operators make, on Redis: one Lua script each. The keys are redis_scripts.ts's, and so are
 * the transitions that workers make.
 */
import { script } from "../redis/script.ts";
import { gates } from "./redis_gate_scripts.ts";
import { clock, group, streams } from "./redis_lease_scripts.ts";
import { freeUnique } from "./redis_scripts.ts";

const size = `
local function sizes(envelope)
  local lf = string.find(envelope, '\\n', 1, true)
  return lf and #envelope - lf or #envelope
end
local function head(envelope)
  local lf = string.find(envelope, '\\n', 1, true)
  return string.sub(envelope, 1, lf or 200)
end`;

/** A missing stream or group holds nothing. */
const stream = `
local function pendingAt(stream, entry)
  local found = redis.pcall('XPENDING', stream, '${group}', entry, entry, 1)
  return not found.err and found[1] or nil
end
local function lastDelivered(stream)
  local groups = redis.pcall('XINFO', 'GROUPS', stream)
  if groups.err then return '0-0' end
  for _, one in ipairs(groups) do
    local facts = {}
    for i = 1, #one, 2 do facts[one[i]] = one[i + 1] end
    if facts.name == '${group}' then return facts['last-delivered-id'] end
  end
  return '0-0'
end`;

/** Where a job in some stream is: nothing, or entry, stream, the entry's number there, letter, envelope, mark. */
const entry = `
local function entryOf(id)
  local entry = redis.call('HGET', moved, id) or id
  local number, letter = string.match(entry, '^(%d+%-%d+)([hl]?)$')
  if not number then return nil end
  local job = redis.call('XRANGE', streams[letter], number, number)[1]
  if job then return entry, streams[letter], number, letter, job[2][2], job[2][4] end
end`;

/**
 * Jobs that wait, oldest first. KEYS: stream. ARGV: most jobs, entry after which to begin or ''. Returns, flat, of each its entry,
 * the head of its envelope and the bytes of its payload.
 */
export const waitingPage = script(`${size}${stream}
local function later(a, b)
  local ams, aseq = string.match(a, '(%d+)-(%d+)')
  local bms, bseq = string.match(b, '(%d+)-(%d+)')
  if ams ~= bms then return tonumber(ams) > tonumber(bms) end
  return tonumber(aseq) > tonumber(bseq)
end
local start = lastDelivered(KEYS[1])
if ARGV[2] ~= '' and later(ARGV[2], start) then start = ARGV[2] end
local found = {}
for _, job in ipairs(redis.call('XRANGE', KEYS[1], '(' .. start, '+', 'COUNT', ARGV[1])) do
  found[#found + 1] = job[1]
  found[#found + 1] = head(job[2][2])
  found[#found + 1] = sizes(job[2][2])
end
return found`);

/**
 * Leased jobs, oldest first. KEYS: stream, started. ARGV: as waitingPage. Returns, flat, of each its entry, the head of its envelope, the
 * bytes of its payload, owner, ms since its lease was renewed, mark or ''.
 */
export const runningPage = script(`${size}
local found = {}
local start = ARGV[2] == '' and '-' or '(' .. ARGV[2]
local pending = redis.pcall('XPENDING', KEYS[1], '${group}', start, '+', ARGV[1])
if pending.err then return found end
for _, lease in ipairs(pending) do
  local job = redis.call('XRANGE', KEYS[1], lease[1], lease[1])[1]
  local envelope = job and job[2][2] or ''
  local mark = redis.call('HGET', KEYS[2], lease[1]) or job and job[2][4] or ''
  for _, fact in ipairs({lease[1], head(envelope), sizes(envelope), lease[2], lease[3], mark}) do found[#found + 1] = fact end
end
return found`);

/**
 * Jobs of a sorted set with its hash, by score. KEYS: sorted set, hash. ARGV: most jobs, id after which to begin or '', its score,
 * 'up' or 'down'. Where that id is gone by now, it begins with its score. Returns, flat, of each its id, the head of its envelope, the
 * bytes of its payload, its score.
 */
export const sortedPage = script(`${size}
local down = ARGV[4] == 'down'
local start = 0
if ARGV[2] ~= '' then
  local rank = redis.call(down and 'ZREVRANK' or 'ZRANK', KEYS[1], ARGV[2])
  if rank then start = rank + 1
  elseif down then start = redis.call('ZCOUNT', KEYS[1], '(' .. ARGV[3], '+inf')
  else start = redis.call('ZCOUNT', KEYS[1], '-inf', '(' .. ARGV[3]) end
end
local members = redis.call(down and 'ZREVRANGE' or 'ZRANGE', KEYS[1], start, start + ARGV[1] - 1, 'WITHSCORES')
local found = {}
for i = 1, #members, 2 do
  local envelope = redis.call('HGET', KEYS[2], members[i]) or ''
  for _, fact in ipairs({members[i], head(envelope), sizes(envelope), members[i + 1]}) do found[#found + 1] = fact end
end
return found`);

/**
 * Jobs that wait for a place, gate by gate. KEYS: parked, parked:jobs, gated. ARGV: most jobs, member after which to begin or ''. Returns,
 * flat, of each its member, the head of its envelope, the bytes of its payload, since when.
 */
export const parkedPage = script(`${size}
local found = {}
local start = ARGV[2] == '' and '-' or '(' .. ARGV[2]
for _, member in ipairs(redis.call('ZRANGE', KEYS[1], start, '+', 'BYLEX', 'LIMIT', 0, ARGV[1])) do
  local id = string.match(member, '\\n%d+\\n(.*)$')
  local envelope = redis.call('HGET', KEYS[2], id) or ''
  local since = cjson.decode(redis.call('HGET', KEYS[3], id) or '{"since":0}').since
  for _, fact in ipairs({member, head(envelope), sizes(envelope), string.format('%.0f', since)}) do found[#found + 1] = fact end
end
return found`);

/**
 * One job, wherever it is. KEYS: delayed, delayed:jobs, dead, dead:jobs, done, done:jobs, progress, cancel, the gates'. ARGV: id.
 * Returns place, entry or score, envelope, progress or '', 1 where it was told to stop; of a running one also owner, ms since its lease was renewed,
 * mark or ''; of a parked one also the gate. Or nothing.
 */
export const find = script(`${stream}${gates}${entry}
local id = ARGV[1]
local progress = redis.call('HGET', KEYS[7], id) or ''
local cancel = redis.call('HEXISTS', KEYS[8], id)
local entry, stream, number, letter, envelope, before = entryOf(id)
if entry then
  local lease = pendingAt(stream, number)
  if not lease then return {'waiting', entry, envelope, progress, cancel} end
  local mark = redis.call('HGET', started[letter], number) or before or ''
  return {'running', entry, envelope, progress, cancel, lease[2], lease[3], mark}
end
local waits = redis.call('HGET', parkedJobs, id)
if waits then
  local record = recordOf(id)
  return {'parked', string.format('%.0f', record.since), waits, progress, cancel, record.at}
end
for i, place in ipairs({'delayed', 'dead', 'done'}) do
  local score = redis.call('ZSCORE', KEYS[2 * i - 1], id)
  if score then return {place, score, redis.call('HGET', KEYS[2 * i], id) or '', progress, cancel} end
end
return {}`);

/**
 * available (parked too) | scheduled | retryable → cancelled; a running one is put on the list of those that are to stop. KEYS: delayed, delayed:jobs,
 * unique, done, done:jobs, cancel, counts, progress, the gates'. ARGV: id, unique key or '', how long it is kept in ms, its record, most on
 * the list. Returns cancelled, cancelling, busy or gone. How many are kept is the workers' to say: prune.
 */
export const cancel = script(`${freeUnique}${stream}${gates}${entry}
local id = ARGV[1]
local entry, stream, number = entryOf(id)
if redis.call('ZREM', KEYS[1], id) == 1 then
  redis.call('HDEL', KEYS[2], id)
elseif redis.call('HEXISTS', parkedJobs, id) == 1 then
  redis.call('HDEL', parkedJobs, id)
elseif not entry then
  return 'gone'
elseif pendingAt(stream, number) then
  if redis.call('HEXISTS', KEYS[6], id) == 1 then return 'cancelling' end
  if redis.call('HLEN', KEYS[6]) >= tonumber(ARGV[5]) then return 'busy' end
  redis.call('HSET', KEYS[6], id, now())
  return 'cancelling'
else
  redis.call('XDEL', stream, number)
  redis.call('HDEL', moved, id)
end
leaveGates(id, false, false)
free(KEYS[3], ARGV[2], id)
redis.call('HDEL', KEYS[6], id)
redis.call('HDEL', KEYS[8], id)
redis.call('HINCRBY', KEYS[7], 'cancelled', 1)
redis.call('ZADD', KEYS[4], now() + ARGV[3], id)
redis.call('HSET', KEYS[5], id, ARGV[4])
return 'cancelled'`);

/**
 * retryable | scheduled | cancelled | discarded → available. KEYS: delayed, unique, sorted set and hash that hold them, the gates'.
 * ARGV: most jobs the queue may hold, then of each job id, its score when it was looked at, unique key or '', amended envelope.
 * Returns of each retried, duplicate or changed; or the number of jobs the queue holds, when there is no room for all.
 */
export const retry = script(`${gates}
local held = available() + redis.call('ZCARD', KEYS[1])
if held + (#ARGV - 1) / 4 > tonumber(ARGV[1]) then return held end
local outcomes = {}
for i = 2, #ARGV, 4 do
  local id, unique = ARGV[i], ARGV[i + 2]
  local holder = unique ~= '' and redis.call('HGET', KEYS[2], unique)
  if redis.call('ZSCORE', KEYS[3], id) ~= ARGV[i + 1] then outcomes[#outcomes + 1] = 'changed'
  elseif holder and holder ~= id then outcomes[#outcomes + 1] = 'duplicate'
  else
    redis.call('ZREM', KEYS[3], id)
    redis.call('HDEL', KEYS[4], id)
    pass(id, ARGV[i + 3])
    if unique ~= '' then redis.call('HSET', KEYS[2], unique, id) end
    outcomes[#outcomes + 1] = 'retried'
  end
end
return outcomes`);

/** discarded → forgotten. KEYS: dead, dead:jobs. ARGV: ids. Returns 1 for each that was there, else 0. */
export const forgetDead = script(`
local gone = {}
for i, id in ipairs(ARGV) do
  gone[i] = redis.call('ZREM', KEYS[1], id)
  redis.call('HDEL', KEYS[2], id)
end
return gone`);

/**
 * What has been kept long enough goes, and of what ended those that would be forgotten first, where there are too many. KEYS: done,
 * done:jobs, dead, dead:jobs, throttled, throttled:jobs. ARGV: age of a dead letter in ms, most of each at a time, most kept, most unique keys
 * that hold for a time. Returns how many went.
 */
export const prune = script(`${clock}
local gone = 0
local function forget(set, hash, old)
  if #old == 0 then return end
  redis.call('ZREM', set, unpack(old))
  redis.call('HDEL', hash, unpack(old))
  gone = gone + #old
end
local function before(set, moment) return redis.call('ZRANGE', set, '-inf', moment, 'BYSCORE', 'LIMIT', 0, ARGV[2]) end
local moment = now()
forget(KEYS[1], KEYS[2], before(KEYS[1], moment))
forget(KEYS[3], KEYS[4], before(KEYS[3], moment - ARGV[1]))
forget(KEYS[5], KEYS[6], before(KEYS[5], moment))
local function trim(set, hash, most)
  local excess = math.min(redis.call('ZCARD', set) - most, tonumber(ARGV[2]))
  if excess > 0 then forget(set, hash, redis.call('ZRANGE', set, 0, excess - 1)) end
end
trim(KEYS[1], KEYS[2], ARGV[3])
trim(KEYS[5], KEYS[6], ARGV[4])
return gone`);

/**
 * Where jobs are, in numbers. KEYS: delayed, dead, done, control, counts, parked:jobs, the streams'. Returns delayed, dead, done, parked, since when
 * it is paused or '', then of each stream (normal, high, low) entries, running, entry of the oldest that waits or '', entries ever added, then counts as
 * name, value.
 */
export const overview = script(`${stream}${streams}
local found = {redis.call('ZCARD', KEYS[1]), redis.call('ZCARD', KEYS[2]), redis.call('ZCARD', KEYS[3]), redis.call('HLEN', KEYS[6]), redis.call('HGET', KEYS[4], 'paused') or ''}
for _, letter in ipairs({'', 'h', 'l'}) do
  local pending = redis.pcall('XPENDING', streams[letter], '${group}')
  local oldest = redis.call('XRANGE', streams[letter], '(' .. lastDelivered(streams[letter]), '+', 'COUNT', 1)[1]
  local added = 0
  local info = redis.pcall('XINFO', 'STREAM', streams[letter])
  if not info.err then
    for i = 1, #info, 2 do if info[i] == 'entries-added' then added = info[i + 1] end end
  end
  found[#found + 1] = redis.call('XLEN', streams[letter])
  found[#found + 1] = pending.err and 0 or pending[1]
  found[#found + 1] = oldest and oldest[1] or ''
  found[#found + 1] = added
end
for _, fact in ipairs(redis.call('HGETALL', KEYS[5])) do found[#found + 1] = fact end
return found`);
