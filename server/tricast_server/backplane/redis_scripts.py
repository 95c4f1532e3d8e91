"""What runs inside Redis: each script is one step that nothing comes between.

Of one bus Redis holds, all in one hash slot (`{bus}`), so that a script may touch them in a Cluster:

- `{bus}:log`, a stream. Every record says the id of the one before it (`prev`), so whoever reads on finds any loss in
  what he reads. A record is an `entry`, or it begins an `epoch`.
- `{bus}:head`, a hash: the `epoch`, the id of the record it began with (`start`), the id of the `last` record.
- `{bus}:id:<hash>` for each message id, while the dedupe window lasts: digest, epoch, id of the record.

Ids are of our making, not Redis' own `*`: they have to fit an offset, 2**20 to a millisecond. They follow the clock of
the server but never run backwards, and where the clock stands still they run ahead of it.

Redis runs a script to its end and logs what it wrote as one transaction, so an append-only file that lost its last
second has lost whole steps, and head and stream agree. What remains is found by comparing with what a node has seen.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

# Arguments of both: the epoch and the id that the node has seen last, and a name for a new epoch should it take one.
_BEGIN = """
local log, head = KEYS[1], KEYS[2]
local expected, seen, fresh = ARGV[1], ARGV[2], ARGV[3]
local state = redis.call('HMGET', head, 'epoch', 'start', 'last')
local epoch, start, last = state[1], state[2], state[3]
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

local function parts(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(seq)
end

local function before(one, other)
  local ms, seq = parts(one)
  local other_ms, other_seq = parts(other)
  return ms < other_ms or (ms == other_ms and seq < other_seq)
end

local function after(id)
  local ms, seq = parts(id)
  if now > ms then return string.format('%.0f-0', now) end
  if seq + 1 < 1048576 then return string.format('%.0f-%.0f', ms, seq + 1) end
  return string.format('%.0f-0', ms + 1)
end

local function renew()
  last = last or '0-0'
  if before(last, seen) then last = seen end
  if redis.call('EXISTS', log) == 1 then
    local info = redis.call('XINFO', 'STREAM', log)
    for i = 1, #info, 2 do
      if info[i] == 'last-generated-id' and before(last, info[i + 1]) then last = info[i + 1] end
    end
  end
  start = after(last)
  redis.call('XADD', log, start, 'prev', last, 'epoch', fresh)
  redis.call('HSET', head, 'epoch', fresh, 'start', start, 'last', start)
  epoch, last = fresh, start
end

-- Restarted empty, or deleted, or evicted; or rolled back to before what the node has seen.
if not epoch or redis.call('EXISTS', log) == 0 or (epoch == expected and before(last, seen)) then renew() end
"""

# More arguments: the dedupe window in ms; then per entry its digest, empty for one without id, and the entry. More
# keys: one per entry with an id. Returns the epoch, then per entry its id; '=' before the id of an equal one; 'c'.
_APPEND = """
local window = ARGV[4]
local replies = {epoch}
local key = 2
for i = 5, #ARGV, 2 do
  local digest, known = ARGV[i], false
  if digest ~= '' then
    key = key + 1
    known = redis.call('GET', KEYS[key])
    if known and string.sub(known, 17, 17 + #epoch) ~= epoch .. ' ' then known = false end
  end
  if not known then
    local id = after(last)
    redis.call('XADD', log, id, 'prev', last, 'entry', ARGV[i + 1])
    if digest ~= '' then redis.call('SET', KEYS[key], digest .. epoch .. ' ' .. id, 'PX', window) end
    last = id
    replies[#replies + 1] = id
  elseif string.sub(known, 1, 16) == digest then
    replies[#replies + 1] = '=' .. string.sub(known, 18 + #epoch)
  else
    replies[#replies + 1] = 'c'
  end
end
redis.call('HSET', head, 'last', last)
return replies
"""

# More arguments: '1' where the node has read what shows a loss in this epoch; then, to trim, the most entries, their
# age in ms and their bytes in memory. Returns the epoch, the id after which all is kept, the last id.
_STATE = """
if ARGV[4] == '1' and epoch == expected then renew() end
if ARGV[5] then
  redis.call('XTRIM', log, 'MAXLEN', '~', ARGV[5])
  redis.call('XTRIM', log, 'MINID', '~', string.format('%.0f', math.max(0, now - tonumber(ARGV[6]))))
  local used = redis.call('MEMORY', 'USAGE', log)
  local bytes = tonumber(ARGV[7])
  if used and used > bytes then
    redis.call('XTRIM', log, 'MAXLEN', '~', math.floor(redis.call('XLEN', log) * bytes / used))
  end
end
local first = redis.call('XRANGE', log, '-', '+', 'COUNT', 1)[1]
local floor = first and first[2][2] or last
if before(floor, start) then floor = start end
return {epoch, floor, last}
"""


@dataclass(frozen=True, slots=True)
class Script:
    text: str
    sha: str = field(init=False)
    """What EVALSHA calls it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "sha", hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest())


APPEND = Script(_BEGIN + _APPEND)
STATE = Script(_BEGIN + _STATE)
