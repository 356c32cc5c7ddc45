-- The statements of `talklog rebuild`. {live} is the schema of the tables in use, {shadow} that of
-- the new ones, {replaced} where the old ones go before they are dropped.

-- name: only_one
SELECT pg_try_advisory_xact_lock(hashtext('talklog rebuild')::bigint) AS held;

-- name: older_epochs
-- Rows of an earlier epoch are in no log any more; also those that have left: the chunks of a session
-- that goes on are numbered after theirs.
SELECT (SELECT count(*) FROM answers WHERE first_epoch < %(epoch)s)
     + (SELECT count(*) FROM user_messages WHERE epoch < %(epoch)s)
     + (SELECT COALESCE(sum(messages), 0) FROM removed_rows WHERE epoch < %(epoch)s) AS rows;

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

-- name: foreign_objects
-- What others have hung on the tables in use, and the swap would drop: all that the new tables,
-- made by the same files, do not have under the same name.
WITH named AS (
    SELECT c.oid, c.relname, c.relnamespace = {live_name}::regnamespace AS live
    FROM pg_class c
    WHERE c.relnamespace IN ({live_name}::regnamespace, {shadow_name}::regnamespace)
      AND c.relname = ANY (%(names)s)
), hung AS (
    SELECT n.live, format('index %%I on %%I', c.relname, n.relname) AS what
    FROM named n JOIN pg_index i ON i.indrelid = n.oid JOIN pg_class c ON c.oid = i.indexrelid
    UNION ALL
    SELECT n.live, format('trigger %%I on %%I', t.tgname, n.relname)
    FROM named n JOIN pg_trigger t ON t.tgrelid = n.oid WHERE NOT t.tgisinternal
    UNION ALL
    SELECT n.live, format('constraint %%I on %%I', k.conname, n.relname)
    FROM named n JOIN pg_constraint k ON k.conrelid = n.oid WHERE k.contype <> 'n'
    UNION ALL
    SELECT n.live, format('foreign key %%I of %%s', k.conname, k.conrelid::regclass)
    FROM named n JOIN pg_constraint k ON k.confrelid = n.oid WHERE k.contype = 'f'
    UNION ALL
    SELECT n.live, format('rule %%I on %%I', r.rulename, n.relname)
    FROM named n JOIN pg_rewrite r ON r.ev_class = n.oid WHERE r.rulename <> '_RETURN'
    UNION ALL
    SELECT n.live, format('policy %%I on %%I', p.polname, n.relname)
    FROM named n JOIN pg_policy p ON p.polrelid = n.oid
    UNION ALL
    SELECT n.live, format('column %%I of %%I', a.attname, n.relname)
    FROM named n JOIN pg_attribute a ON a.attrelid = n.oid
    WHERE a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT n.live, format('privileges on column %%I of %%I', a.attname, n.relname)
    FROM named n JOIN pg_attribute a ON a.attrelid = n.oid WHERE a.attacl IS NOT NULL
    UNION ALL
    SELECT n.live, format('statistics %%I on %%I', s.stxname, n.relname)
    FROM named n JOIN pg_statistic_ext s ON s.stxrelid = n.oid
    UNION ALL
    SELECT n.live, format('publication %%I of %%I', p.pubname, n.relname)
    FROM named n JOIN pg_publication_rel r ON r.prrelid = n.oid
    JOIN pg_publication p ON p.oid = r.prpubid
    UNION ALL
    SELECT n.live, format(
        '%%s %%s', CASE v.relkind WHEN 'm' THEN 'materialized view' ELSE 'view' END,
        CASE WHEN v.oid IN (SELECT oid FROM named) THEN v.relname ELSE v.oid::regclass::text END
    )
    FROM named n
    JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = n.oid
        AND d.classid = 'pg_rewrite'::regclass
    JOIN pg_rewrite r ON r.oid = d.objid
    JOIN pg_class v ON v.oid = r.ev_class
    WHERE v.oid <> n.oid
)
SELECT what FROM hung WHERE live EXCEPT SELECT what FROM hung WHERE NOT live ORDER BY what;
