"""What two processes must agree on: the events in the log, and what is true because of them.

The way of one message: a browser sends a `user_message` frame to a gateway; the gateway publishes
it to the topic `user_messages`; a worker reads it, streams an answer from a model and writes the
answer's events to `ai_response_chunks`; every gateway reads that topic and gives each event of a
session, as a frame, to every socket that follows the session; the persister folds it into Postgres.

Glossary, one word per idea:

session     a conversation; never a login or a socket
message     what the user said; `message_id` is its idempotency key
answer      all that replies to a message
attempt     one try at an answer
delta       what one read of a model brings; chunks are made of it
fence       [epoch, generation, start] of an attempt; a start with a lower one is ignored
fenced      of an attempt that is no longer current: it may write, nobody listens
chunk       a piece of an answer
sequence    a chunk's number in its attempt, dense from 1
terminal    the event that ends a message: `ai_response_complete` or `error`
released    of an attempt that its process gave back: the message waits for its next start
damaged     of an answer of which a chunk is missing; its text is shown all the same
forgotten   of a session that was erased (`session_forgotten`), and of all that was said before
lost        of a message that the log can no longer end, because it holds nothing of it any more
turn        what one side said, as the next prompt has it; a message with an answer makes two
lane        a session's messages in a worker, answered one after another
suspect     a message whose attempt died in its first moments: it may have killed its worker
trial       a suspect's next start, until it speaks or has outlived those moments
poison      a message of which three starts died like that: it gets an error and a dead letter
work        a delivered message in a worker, with all its records, until it is acknowledged
claim       a note in Redis that a gateway publishes this message id now, or has published it
record      Kafka's unit; its value is an event
event       a fact in the log
frame       one WebSocket JSON unit
fold        events in log order -> state; the transcript
shard       partition number, the same in all topics
offset      Kafka's only: a record's number in its shard
place       where an event lies in its shard: epoch and offset
position    the offset of the next record that a reader needs
cursor      epoch.shard.offset: a place in the log as text that a client can keep
shard log   one contiguous range of a shard's records in memory
tail, scan  reading a shard as it grows; reading an older range of it
resume      go on from a cursor
replay      read again from the start
snapshot    the fold's state of a session as one frame
view        what one client believes of a session: the fold of the frames it was given
follow      to be given a session's (or shard's) events as they come
gap         offsets without a record to be read: a transaction's marker, or trimmed before
            they were read; nothing behind one is acknowledged before it was looked into
slow client a socket whose position leaves the shard log
drain       to stop taking new work and finish what runs
dead letter a record that could not be used, kept with the reason
history     the conversation in Redis, for the next prompt
token       of the model: its unit; of a person: a signed text that says who comes (JWT)
subject     who it is, as a token or a hook says; `user` in events
rights      what a subject may do: patterns of sessions, verbs (read, say, cancel), until when
hook        a call to a team's own backend, which says who comes
canary      a gateway's own client: what it publishes must come back to it; beat: one such record
breaker     decides whether a model that keeps failing is asked at all
probe       the one call that a breaker lets through to find out
"""
