/** node shards.js '["a session id", ...]' SHARDS -> the shard of each, as JSON. */

import { shardOf } from "../../gateway/page/shards.js";

const [, , sessions, shards] = process.argv;
process.stdout.write(JSON.stringify(JSON.parse(sessions).map((session) => shardOf(session, Number(shards)))));
