/**
 * What happens once over the whole fleet, on Redis: jobs enqueued under an id that was chosen before, the ticks of schedules, and who
 * leads. One Lua script each, on the server's clock. The transitions of a job in the queue are redis_scripts.ts.
 *
 * Keys beside those of the queue, with its hash tag:
 *      :known         sorted set: id → when it was enqueued, in ms; the newest ids only
 *      :ticks         hash: schedule → its last tick, in ms
 * And of the namespace:
 *      {NAMESPACE:leader}   who leads, for as long as its lease
 */
import { script } from "../redis/script.ts";
import { gates } from "./redis_gate_scripts.ts";
import { clock } from "./redis_lease_scripts.ts";
import { throttle } from "./redis_scripts.ts";

/**
 * → available | scheduled, once. KEYS: delayed, delayed:jobs, unique, throttled, throttled:jobs, known, ticks, the gates'. ARGV: most jobs the queue may hold, most ids
 * remembered, for how many ms, then of each job its id, envelope, delay in ms, unique key or '', schedule or '', tick in ms, for how long in ms its unique key holds in any case, or 0. Returns 1
 * for each that is new, else 0; or the number of jobs the queue holds, when there is no room for all.
 */
export const enqueueOnce = script(`${gates}${throttle}
local held = available() + redis.call('ZCARD', KEYS[1])
if held + (#ARGV - 3) / 7 > tonumber(ARGV[1]) then return held end
local moment = now()
local function isNew(id, schedule, tick)
  if schedule == '' then return redis.call('ZADD', KEYS[6], 'NX', moment, id) == 1 end
  local last = redis.call('HGET', KEYS[7], schedule)
  if last and tonumber(last) >= tonumber(tick) then return false end
  redis.call('HSET', KEYS[7], schedule, tick)
  return true
end
local answers = {}
for i = 4, #ARGV, 7 do
  local id, envelope, delay, unique = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]), ARGV[i + 3]
  local forMs = tonumber(ARGV[i + 6])
  local fresh = isNew(id, ARGV[i + 4], ARGV[i + 5]) and not (forMs > 0 and throttledBy(unique, moment))
  if fresh and unique ~= '' then fresh = redis.call('HSETNX', KEYS[3], unique, id) == 1 end
  if fresh and forMs > 0 then throttle(unique, moment + forMs, id) end
  if fresh and delay == 0 then
    pass(id, envelope)
  elseif fresh then
    redis.call('ZADD', KEYS[1], moment + delay, id)
    redis.call('HSET', KEYS[2], id, envelope)
  end
  answers[#answers + 1] = fresh and 1 or 0
end
redis.call('ZREMRANGEBYRANK', KEYS[6], 0, -ARGV[2] - 1)
redis.call('PEXPIRE', KEYS[6], ARGV[3])
return answers`);

/** KEYS: ticks. ARGV: schedules. Returns the clock in ms, then the last tick of each; one never heard of begins now. */
export const ticks = script(`${clock}
local moment = now()
local answer = {string.format('%.0f', moment)}
for i = 1, #ARGV do
  redis.call('HSETNX', KEYS[1], ARGV[i], string.format('%.0f', moment))
  answer[#answer + 1] = redis.call('HGET', KEYS[1], ARGV[i])
end
return answer`);

/** KEYS: leader. ARGV: who, lease in ms. Returns 1 to who leads from now on, else 0. */
export const lead = script(`
local leader = redis.call('GET', KEYS[1])
if leader and leader ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1`);

/** KEYS: leader. ARGV: who. */
export const resign = script(`
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1`);
