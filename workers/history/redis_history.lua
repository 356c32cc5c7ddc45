-- Merges turns into the stored history of a session, in one step.
--
-- KEYS[1]  the session's key, KEYS[2] up to where the session was forgotten (forget_session.lua)
-- ARGV[1]  JSON: the turns, [{role, content, message_id, offset, epoch}, ...]
-- ARGV[2]  token budget
-- ARGV[3]  seconds to live from now
-- ARGV[4]  last_updated, ISO 8601
-- ARGV[5]  '1': the turns are the whole conversation, the key may be created; '0': it may not
--
-- Returns 'stored' or 'missing'. A missing key is never created from a part: the next prompt would
-- believe that this is all there was. A value that can't be read is as good as missing.
-- The rule of merging and trimming is that of workers/history/turns.py; the same cases are run on both.
-- Numbers are doubles that are printed with 14 digits here: enough for any offset.

local function readable(turn)
  return type(turn) == 'table' and type(turn.content) == 'string'
    and type(turn.message_id) == 'string' and type(turn.role) == 'string'
    and type(turn.offset) == 'number'
end

local function stored_turns(value)
  local ok, decoded = pcall(cjson.decode, value)
  if not ok or type(decoded) ~= 'table' or type(decoded.history) ~= 'table' then
    return nil
  end
  for _, turn in ipairs(decoded.history) do
    if not readable(turn) then
      return nil
    end
  end
  return decoded.history
end

local function by_message(turns)
  local messages, order = {}, {}
  for _, turn in ipairs(turns) do
    local message = messages[turn.message_id]
    if not message then
      message = {epoch = turn.epoch or 0, offset = turn.offset, turns = {}, tokens = 0}
      messages[turn.message_id] = message
      order[#order + 1] = turn.message_id
    end
    table.insert(message.turns, turn)
    message.tokens = message.tokens + math.ceil(#turn.content / 4) + 4
  end
  return messages, order
end

local function before(a, b)
  if a.epoch ~= b.epoch then
    return a.epoch < b.epoch
  end
  return a.offset < b.offset
end

local value = redis.call('GET', KEYS[1])
local stored = value and stored_turns(value)
if not stored then
  if ARGV[5] ~= '1' then
    return 'missing'
  end
  stored = {}
end

local messages, order = by_message(stored)
local forgotten_epoch, forgotten_offset =
  string.match(redis.call('GET', KEYS[2]) or '', '^(%d+)%.(%d+)$')
local forgotten = {epoch = tonumber(forgotten_epoch or 0), offset = tonumber(forgotten_offset or -1)}
local new, new_order = by_message(cjson.decode(ARGV[1]))
for _, id in ipairs(new_order) do
  if before(new[id], forgotten) then
    -- It comes from a process that has not heard of it.
  elseif not messages[id] then
    order[#order + 1] = id
    messages[id] = new[id]
  elseif not before(new[id], messages[id]) then
    messages[id] = new[id]
  end
end

local sorted = {}
for rank, id in ipairs(order) do
  messages[id].rank = rank
  sorted[rank] = messages[id]
end
-- table.sort may swap equals.
table.sort(sorted, function(a, b)
  if before(a, b) or before(b, a) then
    return before(a, b)
  end
  return a.rank < b.rank
end)

local left = tonumber(ARGV[2])
local first = #sorted + 1
while first > 1 and left > 0 do
  first = first - 1
  left = left - sorted[first].tokens
end

local kept = {}
for index = first, #sorted do
  for _, turn in ipairs(sorted[index].turns) do
    kept[#kept + 1] = turn
  end
end
-- An empty table would be encoded as an object.
local history = #kept > 0 and cjson.encode(kept) or '[]'
redis.call('SET', KEYS[1],
  '{"history":' .. history .. ',"last_updated":' .. cjson.encode(ARGV[4]) .. '}', 'EX', ARGV[3])
return 'stored'
