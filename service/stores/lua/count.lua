-- Counts uses within a window of time that slides.
--
-- KEYS[1]  the counter: when its window began, uses in it, uses in the one before
-- ARGV[1]  how many to add; negative to give back
-- ARGV[2]  how many are allowed
-- ARGV[3]  the window, milliseconds
-- ARGV[4]  'always' to count over the limit, too, and be told of the next one
--
-- Uses of the former window count in proportion to how much of it the sliding one
-- still covers, rounded down. A window begins with its first use, so that a burst is
-- counted exactly.
-- How long to wait in milliseconds where the limit does not allow it, else 0.
local cost, allowed, window = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- Whatever else lies under the key, of any type, counts as nothing and is overwritten.
local kept = redis.pcall('GET', KEYS[1])
local began, used, before = string.match(type(kept) == 'string' and kept or '', '^(%d+) (%d+) (%d+)$')
began, used, before = tonumber(began), tonumber(used), tonumber(before)
if not began or now >= began + 2 * window or now < began - window then
    began, used, before = now, 0, 0
elseif now >= began + window then
    began, used, before = began + window, 0, used
end
-- The clock of another server, after a failover, may be somewhat behind.
local left = math.min(began + window - now, window)

-- How long until so many more are allowed.
local function wait(wanted)
    local room = allowed - wanted + 1 -- fewer than so many may have been counted
    if before * left < (room - used) * window then
        return 0
    end
    if used < room then
        return left - math.ceil((room - used) * window / before) + 1
    end
    -- Only once this window is the former one, and enough of it has slid out.
    return left + window - math.ceil(math.max(room, 0) * window / math.max(used, 1)) + 1
end

if ARGV[4] ~= 'always' then
    local refused = wait(cost)
    if refused > 0 then
        return refused
    end
end
used = used + cost
if used < 0 then -- given back from the former window
    before, used = math.max(before + used, 0), 0
end
redis.call('SET', KEYS[1], string.format('%d %d %d', began, used, before), 'PX', left + window)
return ARGV[4] == 'always' and wait(1) or 0
