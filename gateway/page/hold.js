/** When the gateway has said that it takes no message for a while: none is sent before, and not all at once then. */

const MOST_MS = 60_000; // who must wait longer is told so each time, and may well have gone by then
const SPREAD = 0.5; // of the time to wait, drawn on top of it: others wait as well

export class Hold {
  #untilMs = 0;

  /** Take a frame; an error of the gateway about a message may name the time after which there is room. */
  heard({ type, cursor, message_id, retry_after_ms: waitMs }, nowMs, random) {
    const refused = type === "error" && typeof cursor !== "string" && message_id && waitMs > 0 && waitMs <= MOST_MS;
    if (refused) this.#untilMs = Math.max(this.#untilMs, nowMs + Math.round(waitMs * (1 + SPREAD * random)));
  }

  /** For how long nothing is sent; 0: now. */
  waitMs(nowMs) {
    return Math.max(0, this.#untilMs - nowMs);
  }
}
