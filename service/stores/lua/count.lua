-- Counts uses within a window of time that slides.
--
-- KEYS[1]  the counter: when its window began, uses in it, uses in the one before;
--          and how many of each are doubtful, if any is
-- ARGV[1]  how many to add; negative to give back
-- ARGV[2]  how many are allowed
-- ARGV[3]  the window, milliseconds
-- ARGV[4]  'always' to count over the limit, too, and be told of the next one
-- ARGV[5]  how many to add to the doubtful ones, of which half as many are allowed
--
-- Uses of the former window count in proportion to how much of it the sliding one
-- still covers, rounded down. A window begins with its first use, so that a burst is
-- counted exactly. Doubtful uses have the same window, so that at no time they have
-- more than half of what is allowed.
-- How long to wait in milliseconds where the limit does not allow it, else 0; and
-- the same for a doubtful use.
local cost, allowed, window = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local always, doubtful = ARGV[4] == 'always', tonumber(ARGV[5])
local half = math.max(math.floor(allowed / 2), 1)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- Whatever else lies under the key, of any type, counts as nothing and is overwritten.
local kept = redis.pcall('GET', KEYS[1])
kept = type(kept) == 'string' and kept or ''
local began, used, before, of_used, of_before = string.match(kept, '^(%d+) (%d+) (%d+) ?(%d*) ?(%d*)$')
began, used, before = tonumber(began), tonumber(used), tonumber(before)
of_used, of_before = tonumber(of_used) or 0, tonumber(of_before) or 0
if not began or now >= began + 2 * window or now < began - window then
    began, used, before, of_used, of_before = now, 0, 0, 0, 0
elseif now >= began + window then
    began, used, before, of_used, of_before = began + window, 0, used, 0, of_used
end
-- The clock of another server, after a failover, may be somewhat behind.
local left = math.min(began + window - now, window)

-- How long until so many more are allowed.
local function wait(most, in_this, in_former, wanted)
    local room = most - wanted + 1 -- fewer than so many may have been counted
    if in_former * left < (room - in_this) * window then
        return 0
    end
    if in_this < room then
        return left - math.ceil((room - in_this) * window / in_former) + 1
    end
    -- Only once this window is the former one, and enough of it has slid out.
    return left + window - math.ceil(math.max(room, 0) * window / math.max(in_this, 1)) + 1
end

local function waits(wanted, wanted_of)
    local for_half = wanted_of > 0 and wait(half, of_used, of_before, wanted_of) or 0
    return {wait(allowed, used, before, wanted), for_half}
end

if not always then
    local refused = waits(cost, doubtful)
    if refused[1] > 0 or refused[2] > 0 then
        return refused
    end
end

-- What is given back may be of the former window.
local function add(in_this, in_former, more)
    in_this = in_this + more
    return math.max(in_this, 0), math.max(in_former + math.min(in_this, 0), 0)
end

used, before = add(used, before, cost)
of_used, of_before = add(of_used, of_before, doubtful)
local text = string.format('%d %d %d', began, used, before)
if of_used + of_before > 0 then
    text = text .. string.format(' %d %d', of_used, of_before)
end
redis.call('SET', KEYS[1], text, 'PX', left + window)
return always and waits(1, 1) or {0, 0}
