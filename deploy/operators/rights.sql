-- What each tier may do in Postgres; run as the owner of the tables, after `talklog migrate` or `up`.
-- The roles are made before, each with its password: CREATE ROLE "talklog-gateway" LOGIN PASSWORD '…'.
-- It may be run again. `talklog rebuild` hands the grants on; it is the owner's, like migrations.

GRANT SELECT ON ALL TABLES IN SCHEMA public
    TO "talklog-gateway", "talklog-worker", "talklog-operator";
GRANT SELECT, INSERT, UPDATE, DELETE
    ON streaming_messages, user_messages, answers, kafka_offsets, log_gaps, forgotten_sessions,
        removed_rows
    TO "talklog-persister";
GRANT SELECT ON ALL TABLES IN SCHEMA public TO "talklog-persister";
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO "talklog-persister";
