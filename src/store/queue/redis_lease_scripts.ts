/**
 * Jobs that are running, on Redis: that they begin, stay in their worker's hands, go to another's or back untouched. One Lua script each.
 * How they end, and the keys, is redis_scripts.ts.
 */
import { packed, script } from "../redis/script.ts";

export const group = "workers";

export const clock = `
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end`;

/**
 * The last keys of a script that looks through the streams or adds to them, as redis_keys.ts lists them: stream and started of each
 * priority, then moved. An entry is written with a letter behind it that says which stream it is in: h, l, or none for normal.
 */
export const streams = `
local moved = KEYS[#KEYS]
local streams = {[''] = KEYS[#KEYS - 6], h = KEYS[#KEYS - 4], l = KEYS[#KEYS - 2]}
local started = {[''] = KEYS[#KEYS - 5], h = KEYS[#KEYS - 3], l = KEYS[#KEYS - 1]}
local function inStreams()
  return redis.call('XLEN', streams['']) + redis.call('XLEN', streams.h) + redis.call('XLEN', streams.l)
end
local function headerOf(envelope)
  return string.sub(envelope, 1, (string.find(envelope, '\\n', 1, true) or 0) - 1)
end
local function append(envelope, header)
  local letter = ''
  local _, behind = string.find(header, '"priority":"', 1, true)
  if behind then letter = string.match(header, '^[hl]', behind + 1) or '' end
  return redis.call('XADD', streams[letter], '*', 'job', envelope) .. letter
end`;

/** The letter of the one stream that a fenced script is about. */
export const letter = `local letter = string.match(KEYS[1], ':stream%-(%a)%a*$') or ''`;

/**
 * A lease is ours while the entry is pending under our name with the delivery count it was taken with. What a script is about is looked
 * up in one command, where it lies close together; what that did not show is asked for by itself. ARGV of every fenced script begins
 * with the owner, the first and the last entry it is about.
 */
export const fence = `
local held = {}
if ARGV[2] ~= ARGV[3] then
  for _, one in ipairs(redis.call('XPENDING', KEYS[1], '${group}', ARGV[2], ARGV[3], #ARGV, ARGV[1])) do held[one[1]] = one[4] end
end
local function ours(entry, deliveries)
  local count = held[entry]
  if not count then
    local one = redis.call('XPENDING', KEYS[1], '${group}', entry, entry, 1, ARGV[1])[1]
    count = one and one[4]
  end
  return count == tonumber(deliveries)
end
local function leave(moved, started, entry, id)
  redis.call('XACK', KEYS[1], '${group}', entry)
  redis.call('XDEL', KEYS[1], entry)
  redis.call('HDEL', started, entry)
  if entry ~= id then redis.call('HDEL', moved, id) end
end`;

/**
 * running, begun. KEYS: stream, started. ARGV: owner, first, last, then of each lease entry, deliveries, mark, id where a gate counts
 * attempts or ''. Returns lost entries. Whoever takes the job over finds the mark.
 */
export const beginning = (gates: string, note: string) =>
  packed(`${fence}${gates}
local lost, marks = {}, {}
for i = 4, #ARGV, 4 do
  if ours(ARGV[i], ARGV[i + 1]) then
    marks[#marks + 1] = ARGV[i]
    marks[#marks + 1] = ARGV[i + 2]
    ${note}
  else lost[#lost + 1] = ARGV[i] end
end
if #marks > 0 then redis.call('HSET', KEYS[2], unpack(marks)) end
return lost`);
export const begin = beginning("", "");

/**
 * running → available, of what was not begun (hand back). KEYS: stream, started, moved. ARGV: owner, first, last, then of each lease entry, deliveries.
 * Returns lost entries. Everything known of the job goes along: the id, which was that of its first entry, and what earlier workers began.
 */
export const handBack = packed(`${fence}
${letter}
local lost = {}
for i = 4, #ARGV, 2 do
  local entry = ARGV[i]
  if ours(entry, ARGV[i + 1]) then
    local fields = redis.call('XRANGE', KEYS[1], entry, entry)[1][2]
    local envelope = fields[2]
    local header = string.match(envelope, '^{[^\\n]*')
    local readable, facts = pcall(cjson.decode, header)
    local id = readable and facts.id or entry .. letter
    if readable and not facts.id then envelope = '{"id":"' .. id .. '",' .. string.sub(envelope, 2) end
    local mark = redis.call('HGET', KEYS[2], entry) or fields[4] or ''
    leave(KEYS[3], KEYS[2], entry, id)
    redis.call('HSET', KEYS[3], id, redis.call('XADD', KEYS[1], '*', 'job', envelope, 'mark', mark) .. letter)
  else lost[#lost + 1] = entry end
end
return lost`);

/**
 * running → running, in the same hands. KEYS: stream. ARGV: owner, first, last, then of each lease entry, deliveries. Returns lost entries.
 * JUSTID counts no delivery; without the fence it would steal back a lease that somebody else holds by now.
 */
export const renew = packed(`${fence}
local lost = {}
for i = 4, #ARGV, 2 do
  if ours(ARGV[i], ARGV[i + 1]) then
    redis.call('XCLAIM', KEYS[1], '${group}', ARGV[1], 0, ARGV[i], 'JUSTID')
  else lost[#lost + 1] = ARGV[i] end
end
return lost`);

/**
 * running → running, in other hands. KEYS: stream, started. ARGV: owner, lease in ms, most jobs, cursor. Returns the next cursor and,
 * flat, of each job entry, deliveries, mark or '', envelope. Claiming counts a delivery, so the former holder's token is void from here on.
 */
export const reclaim = script(`
local claimed = redis.call('XAUTOCLAIM', KEYS[1], '${group}', ARGV[1], ARGV[2], ARGV[4], 'COUNT', ARGV[3])
local found = {claimed[1]}
for _, job in ipairs(claimed[2]) do
  found[#found + 1] = job[1]
  found[#found + 1] = redis.call('XPENDING', KEYS[1], '${group}', job[1], job[1], 1)[1][4]
  found[#found + 1] = redis.call('HGET', KEYS[2], job[1]) or job[2][4] or ''
  found[#found + 1] = job[2][2]
end
return found`);

/**
 * What is leased to one owner, changed by nothing. KEYS: stream, started. ARGV: owner, most jobs. Returns, flat, entry, deliveries, mark
 * or '', envelope.
 */
export const held = script(`
local found = {}
for _, pending in ipairs(redis.call('XPENDING', KEYS[1], '${group}', '-', '+', ARGV[2], ARGV[1])) do
  local job = redis.call('XRANGE', KEYS[1], pending[1], pending[1])[1]
  if job then
    found[#found + 1] = pending[1]
    found[#found + 1] = pending[4]
    found[#found + 1] = redis.call('HGET', KEYS[2], pending[1]) or job[2][4] or ''
    found[#found + 1] = job[2][2]
  end
end
return found`);

/**
 * Forgets consumers that hold nothing and have not asked for longer than ARGV[1] ms; 0 also forgets ARGV[2], which asked just now.
 * DELCONSUMER throws a consumer's leases away, so looking and deleting must be one step.
 */
export const forgetConsumers = script(`
local gone = 0
for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], '${group}')) do
  local facts = {}
  for i = 1, #consumer, 2 do facts[consumer[i]] = consumer[i + 1] end
  local unused = facts.idle > tonumber(ARGV[1]) or facts.name == ARGV[2]
  if facts.pending == 0 and unused then gone = gone + redis.call('XGROUP', 'DELCONSUMER', KEYS[1], '${group}', facts.name) + 1 end
end
return gone`);
