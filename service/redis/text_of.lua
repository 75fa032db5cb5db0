-- Stands before every script.
--
-- What GET says of a key: its text, or false. And whether it holds something else, as a list or
-- a stream, which nothing of ours does, and which SET and DEL take away like any text.
local function text_of(key)
    local value = redis.pcall('GET', key)
    if type(value) ~= 'table' then
        return value, false
    elseif string.find(tostring(value.err), 'WRONGTYPE', 1, true) then -- fakeredis has no text there
        return false, true
    end
    error(value.err)
end
