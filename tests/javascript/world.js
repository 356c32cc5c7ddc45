/** A clock, timers, chance and sockets that do only what a test tells them. */

export class World {
  ms = 1_000_000;
  timers = [];
  sockets = [];
  chance = 0.5;

  get options() {
    const world = this;
    return {
      url: "ws://gateway.test",
      nowMs: () => world.ms,
      setTimer: (action, ms) => {
        const timer = { at: world.ms + ms, action };
        world.timers.push(timer);
        return timer;
      },
      clearTimer: (timer) => {
        world.timers = world.timers.filter((other) => other !== timer);
      },
      random: () => world.chance,
      WebSocket: class extends FakeSocket {
        constructor(address) {
          super(address);
          world.sockets.push(this);
        }
      },
    };
  }

  /** The newest socket. */
  get socket() {
    return this.sockets.at(-1);
  }

  /** Let time pass; every timer that is due acts at its own moment. */
  pass(ms) {
    const end = this.ms + ms;
    for (;;) {
      const due = this.timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (!due) break;
      this.ms = Math.max(this.ms, due.at);
      this.timers = this.timers.filter((other) => other !== due);
      due.action();
    }
    this.ms = end;
  }
}

class FakeSocket {
  readyState = 0;
  sent = [];

  constructor(address) {
    this.address = new URL(address);
  }

  send(text) {
    if (this.readyState !== 1) throw new Error("not open");
    this.sent.push(JSON.parse(text));
  }

  close() {
    this.readyState = 3;
  }

  opens() {
    this.readyState = 1;
    this.onopen({});
  }

  gives(...frames) {
    for (const frame of frames) this.onmessage({ data: typeof frame === "string" ? frame : JSON.stringify(frame) });
  }

  closes(code, reason = "") {
    this.readyState = 3;
    this.onclose({ code, reason });
  }

  /** What was sent of this type. */
  of(type) {
    return this.sent.filter((frame) => frame.type === type);
  }
}

export const connected = (recovered = null) => ({ type: "status", state: "connected", recovered, epoch: 1 });
export const snapshot = (offset, messages = [], ended = []) => ({ type: "snapshot", cursor: `1.0.${offset}`, messages, ended });
export const generating = (offset, id, attempt = "a1", fence = [1, 1, 0]) => ({ type: "status", state: "generating", cursor: `1.0.${offset}`, message_id: id, attempt, fence, prompt: { content: "?", created_at: "" } });
export const chunk = (offset, id, sequence, content, attempt = "a1") => ({ type: "ai_response_chunk", cursor: `1.0.${offset}`, message_id: id, attempt, sequence, content });
export const complete = (offset, id, last_sequence, attempt = "a1") => ({ type: "ai_response_complete", cursor: `1.0.${offset}`, message_id: id, attempt, last_sequence, finish_reason: "stop" });
