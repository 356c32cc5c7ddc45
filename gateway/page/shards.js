/** Which shard is a session's; the rule is Python's `schemas.topics.shard_of`, that of all clients of Kafka. */

const SEED = 0x9747b28c;
const FACTOR = 0x5bd1e995;

/** The shard of a session, from 0 to `shards` - 1. */
export function shardOf(sessionId, shards) {
  return (murmur2(new TextEncoder().encode(sessionId)) & 0x7fffffff) % shards;
}

/** MurmurHash2 (32 bit) with the seed of Kafka's default partitioner. */
function murmur2(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const whole = bytes.length & ~3;
  let value = SEED ^ bytes.length;
  for (let start = 0; start < whole; start += 4) {
    let part = Math.imul(view.getInt32(start, true), FACTOR);
    part = Math.imul(part ^ (part >>> 24), FACTOR);
    value = Math.imul(value, FACTOR) ^ part;
  }
  if (bytes.length > whole) {
    let rest = 0;
    for (let at = whole; at < bytes.length; at += 1) rest |= bytes[at] << (8 * (at - whole));
    value = Math.imul(value ^ rest, FACTOR);
  }
  value = Math.imul(value ^ (value >>> 13), FACTOR);
  return value ^ (value >>> 15);
}
