-- The statements of `talklog rebuild`. {live} is the schema of the tables in use, {shadow} that of
-- the new ones, {replaced} where the old ones go before they are dropped.

-- name: only_one
SELECT pg_try_advisory_lock(hashtext('talklog rebuild')::bigint) AS held;

-- name: older_epochs
-- Rows of an earlier epoch are in no log any more.
SELECT (SELECT count(*) FROM answers WHERE first_epoch < %(epoch)s)
     + (SELECT count(*) FROM user_messages WHERE epoch < %(epoch)s) AS rows;

-- name: hold_writers
-- A writer waits at its first statement, holding nothing; readers go on.
LOCK TABLE {live}.kafka_offsets IN EXCLUSIVE MODE;

-- name: positions
SELECT topic, shard, epoch, next_offset FROM {live}.kafka_offsets ORDER BY topic, shard;

-- name: differences
-- Rows that only one of the two tables has; `id` is no part of the fold.
SELECT side, count(*) AS rows, (array_agg(key ORDER BY key))[1:3] AS examples
FROM (
    SELECT 'only in the table' AS side, {key} AS key
    FROM (SELECT {columns} FROM {live}.{table} EXCEPT ALL SELECT {columns} FROM {shadow}.{table}) l
    UNION ALL
    SELECT 'only in the log', {key}
    FROM (SELECT {columns} FROM {shadow}.{table} EXCEPT ALL SELECT {columns} FROM {live}.{table}) s
) d
GROUP BY side ORDER BY side;

-- name: grants
-- The new tables are for whom the old ones were.
SELECT format('GRANT %%s ON %%I.%%I TO %%s', a.privilege_type, {shadow_name}, c.relname,
              CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END)
       AS statement
FROM pg_class c, aclexplode(c.relacl) a
WHERE c.relnamespace = {live_name}::regnamespace
  AND c.relname = ANY (%(names)s)
  AND a.grantee <> c.relowner;
