-- Adds handles to a HyperLogLog, which ends of itself.
--
-- KEYS[1]  the HyperLogLog
-- ARGV[1]  its lifetime, milliseconds
-- ARGV[2]  a handle; and so on
--
-- Whatever else lies under the key is taken away.
local added = redis.pcall('PFADD', KEYS[1], unpack(ARGV, 2))
if type(added) == 'table' then
    redis.call('DEL', KEYS[1])
    redis.call('PFADD', KEYS[1], unpack(ARGV, 2))
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
