/**
 * Gates (gates.ts) on Redis: the steps that other scripts take as theirs, and the one that mends. All of them are functions of Lua over
 * these keys of the queue, the last of such a script before the streams':
 *      :gated         hash: id → JSON of its gates, how many of them it has passed (n), where it is parked (at) and since when, whether
 *                     its attempt began (begun). There while it holds a place or waits for one
 *      :places        hash: gate → places taken
 *      :windows       sorted set: GATE⏎NUMBER → when a place that time gives back is free, in ms
 *      :parked        sorted set, all of one score: GATE⏎NUMBER⏎ID, so that each gate's are together, the first to come first
 *      :parked:jobs   hash: id → envelope of a parked job
 *      :sequence      number that was given last
 */
import { script } from "../redis/script.ts";
import type { QueueKeys } from "./redis_keys.ts";
import { streamKeys } from "./redis_keys.ts";
import { beginning, clock, streams } from "./redis_lease_scripts.ts";

/** The last keys of a script that has `gates`. */
export function gateKeys(keys: QueueKeys): readonly string[] {
  const { gated, places, windows, parked, parkedJobs, sequence } = keys;
  return [gated, places, windows, parked, parkedJobs, sequence, ...streamKeys(keys)];
}

/** Places that time gives back, looked at in one step. */
const windowsMax = 1_000;
/** Jobs that one gate lets through in one step; those that are left wait for the next place that comes free, or for `mend`. */
const admittedMax = 1_000;

/**
 * pass(id, envelope): through the gates it has not passed, into its stream; or parked. leaveGates(id, keep, ran): gives its places back, with
 * `keep` all but those that are kept, and lets others in; an attempt that ran counts, also where its begin was not recorded.
 * noteBegin(id): from now on its attempt counts. freeWindows(): gives back what
 * time has. number(): one that was never given. available(): entries of all streams, and what is parked.
 */
export const gates = `${clock}${streams}
local gated, places, windows = KEYS[#KEYS - 12], KEYS[#KEYS - 11], KEYS[#KEYS - 10]
local parked, parkedJobs, sequence = KEYS[#KEYS - 9], KEYS[#KEYS - 8], KEYS[#KEYS - 7]
local function available() return inStreams() + redis.call('HLEN', parkedJobs) end
local function number() return string.format('%016.0f', redis.call('INCR', sequence)) end
local function isGate(it)
  return type(it) == 'table' and type(it.name) == 'string' and type(it.max) == 'number' and (it.per == nil or type(it.per) == 'number')
end
local function gatesOf(header)
  if not string.find(header, '"gates":', 1, true) then return nil end
  local readable, facts = pcall(cjson.decode, header)
  if not readable or type(facts.gates) ~= 'table' or #facts.gates == 0 then return nil end
  for _, gate in ipairs(facts.gates) do if not isGate(gate) then return nil end end
  return facts.gates
end
local function recordOf(id)
  local text = redis.call('HGET', gated, id)
  return text and cjson.decode(text)
end
local function keepRecord(id, record) redis.call('HSET', gated, id, cjson.encode(record)) end
local function firstAt(gate)
  return redis.call('ZRANGE', parked, '[' .. gate .. '\\n', '(' .. gate .. '\\v', 'BYLEX', 'LIMIT', 0, 1)[1]
end
local function isFull(gate) return tonumber(redis.call('HGET', places, gate.name) or 0) >= gate.max end
local function giveBack(name)
  if redis.call('HINCRBY', places, name, -1) <= 0 then redis.call('HDEL', places, name) end
end
local function enter(id, envelope, record)
  while record.n < #record.gates do
    local gate = record.gates[record.n + 1]
    if isFull(gate) or firstAt(gate.name) then
      record.at, record.since = gate.name .. '\\n' .. number() .. '\\n' .. id, now()
      redis.call('ZADD', parked, 0, record.at)
      redis.call('HSET', parkedJobs, id, envelope)
      return keepRecord(id, record)
    end
    redis.call('HINCRBY', places, gate.name, 1)
    record.n = record.n + 1
  end
  keepRecord(id, record)
  redis.call('HSET', moved, id, append(envelope, headerOf(envelope)))
end
local function admit(name)
  for _ = 1, ${admittedMax} do
    local member = firstAt(name)
    if not member then return end
    local id = string.match(member, '\\n%d+\\n(.*)$')
    local record, envelope = recordOf(id), redis.call('HGET', parkedJobs, id)
    if record and envelope then
      if isFull(record.gates[record.n + 1]) then return end
      record.at, record.since, record.n = nil, nil, record.n + 1
      redis.call('HINCRBY', places, name, 1)
    end
    redis.call('ZREM', parked, member)
    redis.call('HDEL', parkedJobs, id)
    if record and envelope then enter(id, envelope, record) end
  end
end
local function freeWindows()
  local over = redis.call('ZRANGE', windows, '-inf', now(), 'BYSCORE', 'LIMIT', 0, ${windowsMax})
  for _, place in ipairs(over) do
    redis.call('ZREM', windows, place)
    giveBack(string.match(place, '^(.*)\\n%d+$'))
  end
  for _, place in ipairs(over) do admit(string.match(place, '^(.*)\\n%d+$')) end
end
local function pass(id, envelope)
  local header = headerOf(envelope)
  local wanted = gatesOf(header)
  if not wanted then return redis.call('HSET', moved, id, append(envelope, header)) end
  freeWindows()
  local record = recordOf(id) or {gates = wanted, n = 0}
  record.begun = nil
  enter(id, envelope, record)
end
local function countBegin(record)
  for i = 1, record.n do
    local gate = record.gates[i]
    if gate.per then
      if record.begun then redis.call('HINCRBY', places, gate.name, 1) end
      redis.call('ZADD', windows, now() + gate.per, gate.name .. '\\n' .. number())
    end
  end
  record.begun = true
end
local function noteBegin(id)
  local record = recordOf(id)
  if not record then return end
  countBegin(record)
  keepRecord(id, record)
end
local function leaveGates(id, keep, ran)
  local record = recordOf(id)
  if not record then return end
  if ran and not record.begun then countBegin(record) end
  if record.at then
    redis.call('ZREM', parked, record.at)
    redis.call('HDEL', parkedJobs, id)
  end
  local kept = 0
  while keep and kept < record.n and record.gates[kept + 1].keep do kept = kept + 1 end
  local left = {}
  for i = kept + 1, record.n do
    local gate = record.gates[i]
    if not (gate.per and record.begun) then left[#left + 1] = gate.name end
  end
  if kept > 0 then keepRecord(id, {gates = record.gates, n = kept})
  else redis.call('HDEL', gated, id) end
  for _, name in ipairs(left) do giveBack(name) end
  for _, name in ipairs(left) do admit(name) end
end
`;

/** As `begin`, with the gates' keys behind its own. The same begin once more, because its answer got lost, is as many starts as are noted. */
export const beginAny = beginning(
  `${gates}
local function startsIn(mark) return string.match(mark or '', '^%d+') end`,
  `if ARGV[i + 3] ~= '' and startsIn(redis.call('HGET', KEYS[2], ARGV[i])) ~= startsIn(ARGV[i + 2]) then noteBegin(ARGV[i + 3]) end`,
);

/**
 * Gives back what jobs hold that are nowhere any more, as after an operator deleted entries by hand, or a version of scale without
 * gates recorded an outcome; and lets in whom nobody let in. KEYS: delayed, the gates'. ARGV: cursor over :gated, gate after which to go on
 * or ''. Returns both for the next time.
 */
export const mend = script(`${gates}
local function isSomewhere(id, record)
  if record.at then return redis.call('ZSCORE', parked, record.at) end
  if redis.call('ZSCORE', KEYS[1], id) then return true end
  local number, letter = string.match(redis.call('HGET', moved, id) or '', '^(%d+%-%d+)([hl]?)$')
  return number and #redis.call('XRANGE', streams[letter], number, number) > 0
end
local found = redis.call('HSCAN', gated, ARGV[1], 'COUNT', 100)
for i = 1, #found[2], 2 do
  -- Read again: one that left before it may have let it in.
  local id, record = found[2][i], recordOf(found[2][i])
  if record and not isSomewhere(id, record) then leaveGates(id, false, false) end
end
freeWindows()
local gate = ARGV[2]
for _ = 1, 100 do
  local member = redis.call('ZRANGE', parked, gate == '' and '-' or '(' .. gate .. '\\v', '+', 'BYLEX', 'LIMIT', 0, 1)[1]
  gate = member and string.match(member, '^(.*)\\n%d+\\n') or ''
  if gate == '' then break end
  admit(gate)
end
return {found[1], gate}`);
