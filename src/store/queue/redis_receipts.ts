/**
 * Outcomes that a worker records again, because the answer got lost on a connection that broke. The fence alone would tell it that its
 * leases are gone: they are, by what it recorded itself. So each step leaves a receipt, from which the second time is answered. What the
 * steps do is redis_scripts.ts.
 */
import { packed, type Script } from "../redis/script.ts";

/** How long a worker may be without the store and still learn what it had recorded. After that, it counts as lost. */
const receiptMs = 600_000;

/**
 * A fenced script that returns lost entries, behind its receipt: the last of its KEYS, one for each owner, stream and kind of step. Its
 * ARGV[4] is the round, or '' where nobody will ask again. The script itself sees neither.
 */
export function receipted(lua: string): Script {
  return packed(`
local round, receipt = table.remove(ARGV, 4), table.remove(KEYS)
local function settle()${lua}
end
if round == '' then return settle() end
local before = {}
for word in string.gmatch(redis.call('GET', receipt) or '', '%S+') do before[#before + 1] = word end
if table.remove(before, 1) == round then return before end
local lost = settle()
redis.call('SET', receipt, round .. ' ' .. table.concat(lost, ' '), 'PX', ${receiptMs})
return lost`);
}
