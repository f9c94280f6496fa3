-- drop KEYS[1]=entry's hash
-- To invalidate is to delete: the next read makes a new generation, so that this can be repeated at will.
redis.call('DEL', KEYS[1])
return 1
