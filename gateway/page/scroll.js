/**
 * Keep the newest line in sight, until the reader looks at something else.
 *
 * Any move up lets go; coming down to the end, sending, or the jump button takes hold again.
 */

const NEAR_PX = 24;

export class StickToEnd {
  #scroller;
  #jump;
  #sticks = true;
  #lastTop = 0;
  #lastHeight = 0;

  constructor(scroller, jump) {
    this.#scroller = scroller;
    this.#jump = jump;
    scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    // A chunk may be drawn between a turn of the wheel and its `scroll`: that must not undo it.
    scroller.addEventListener("wheel", (turn) => this.#turned(turn), { passive: true });
    // The window, the keyboard or a picture of wide code may change the height without a new chunk.
    new ResizeObserver(() => this.follow()).observe(scroller);
    jump.addEventListener("click", () => this.hold());
  }

  /** Go to the end, and stay there. */
  hold() {
    this.#sticks = true;
    this.follow();
  }

  /** The content grew: stay at the end if we are to. */
  follow() {
    if (this.#sticks) this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.#remember();
  }

  #turned({ deltaY, ctrlKey: zooms }) {
    if (deltaY < 0 && !zooms && this.#scroller.scrollTop > 0) this.#sticks = false;
  }

  #scrolled() {
    const { scrollTop, scrollHeight } = this.#scroller;
    const movedUp = scrollTop < this.#lastTop - 1 && scrollHeight >= this.#lastHeight;
    const movedDown = scrollTop > this.#lastTop;
    if (movedUp) this.#sticks = false;
    if (movedDown && this.#distance() <= NEAR_PX) this.#sticks = true;
    this.#remember();
  }

  #distance() {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    return scrollHeight - scrollTop - clientHeight;
  }

  #remember() {
    this.#lastTop = this.#scroller.scrollTop;
    this.#lastHeight = this.#scroller.scrollHeight;
    this.#jump.hidden = this.#sticks || this.#distance() <= NEAR_PX;
  }
}
