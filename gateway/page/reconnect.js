/**
 * When to connect again after a socket has closed. Pure.
 *
 * The table of close codes is that of `schemas/close_codes.py`; every other code (1006: the network) is
 * answered like a restart. Delays are drawn from the whole range up to the limit ("full jitter"), so that
 * ten thousand clients of a gateway that died do not come back in the same instant.
 */

export const FIRST_DELAY_MS = 500;
export const LONGEST_DELAY_MS = 30_000;

/** What the client does next: "backoff", "never", "with_token" or "on_demand". */
const AFTER_CLOSE = {
  1000: "never",
  1001: "backoff",
  1009: "never",
  1012: "backoff",
  4001: "with_token",
  4003: "never",
  4004: "never",
  4005: "never",
  4008: "backoff",
  4009: "backoff", // not before the retry_after_ms of the reason
  4010: "on_demand",
};

/**
 * Decide what follows a close: `{next, delayMs}`.
 *
 * `failures` counts the connections in a row that came to nothing, `random` is in [0, 1).
 */
export function afterClose(code, reason, failures, random) {
  const next = AFTER_CLOSE[code] ?? "backoff";
  if (next !== "backoff") return { next, delayMs: null };
  return { next, delayMs: backoffMs(failures, random) + (code === 4009 ? retryAfterMs(reason) : 0) };
}

/** Full jitter: anything between nothing and 0.5 s, 1 s, 2 s … 30 s. */
export function backoffMs(failures, random) {
  return Math.round(random * Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.min(failures, 16)));
}

function retryAfterMs(reason) {
  const named = /retry_after_ms\D{0,4}(\d{1,9})/.exec(reason ?? "");
  return named ? Number(named[1]) : 0;
}
