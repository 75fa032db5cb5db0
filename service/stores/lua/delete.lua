-- Deletes whatever is kept under a user's key.
--
-- KEYS[1]  the user's session record
-- ARGV[1]  deadline; fence.lua, which stands before this, checks it and sets `now`
--
-- {'ended', now, 'deleted'} nothing is there, whoever took it away
redis.call('DEL', KEYS[1])
return {'ended', now, 'deleted'}
