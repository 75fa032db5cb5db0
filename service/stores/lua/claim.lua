-- Sets a key, unless it is set already: the right to do what one alone may do.
--
-- KEYS[1]  the key
-- ARGV[1]  the value, which nobody else has
-- ARGV[2]  its lifetime, milliseconds
-- ARGV[3]  absent: any text stands. 'text': none that would stand longer than ours do, or
--          it would keep everybody out. 'json': nor one that is no object with an "n"
--
-- The value that stands: the caller's own one means that the right is theirs,
-- also when a repeat arrives.
local function stands(value)
    if not ARGV[3] then
        return true
    end
    local left = redis.call('PTTL', KEYS[1])
    if left < 0 or left > tonumber(ARGV[2]) then
        return false
    elseif ARGV[3] == 'text' then
        return true
    end
    local parsed, found = pcall(cjson.decode, value)
    return parsed and type(found) == 'table' and type(found.n) == 'string'
end

local value = text_of(KEYS[1])
if not value or not stands(value) then
    value = ARGV[1]
    redis.call('SET', KEYS[1], value, 'PX', ARGV[2])
end
return value
