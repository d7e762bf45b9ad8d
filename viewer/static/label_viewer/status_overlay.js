// The overlay on the stage during a run and after an error.

/** The overlay; the last result stays visible behind it, dimmed. */
export class StatusOverlay {
  /** @param {HTMLElement} root the whole viewer */
  constructor(root) {
    const find = (name) => root.querySelector(".pw-" + name);
    this.root = root;
    this.box = find("overlay");
    this.title = find("overlay-title");
    this.text = find("overlay-text");
    this.bar = find("progress");
    this.dismiss = find("dismiss");
    this.empty = find("empty");
    this.motion = null;
  }

  /**
   * @param {"working" | "error"} kind
   * @param {string} title
   * @param {string} text
   * @param {boolean} hasResult whether there is a result to return to
   * @param {number | null} fraction progress from 0 to 1; null if unknown
   */
  show(kind, title, text, hasResult, fraction = null) {
    this.box.hidden = false;
    this.box.dataset.kind = kind;
    this.box.setAttribute("role", kind === "error" ? "alert" : "status");
    this.title.textContent = title;
    this.text.textContent = text;
    this.dismiss.hidden = kind !== "error" || !hasResult;
    this.empty.hidden = true;
    this.root.dataset.busy = "true";
    this.bar.hidden = kind === "error";
    this.progress(fraction);
  }

  /** Show a fraction, or an animated bar if it is unknown and motion is allowed. */
  progress(fraction) {
    const known = typeof fraction === "number";
    this.bar.style.setProperty("--pw-done", known ? Math.min(1, Math.max(0, fraction)) : 0.35);
    if (known) this.bar.setAttribute("aria-valuenow", String(Math.round(fraction * 100)));
    else this.bar.removeAttribute("aria-valuenow");
    const reduced = matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (known || reduced || this.bar.hidden) {
      this.stopMotion();
    } else if (!this.motion) {
      this.motion = this.bar.firstElementChild.animate(
        [{ translate: "-35% 0" }, { translate: "100% 0" }],
        { duration: 1400, iterations: Infinity, easing: "ease-in-out" },
      );
    }
  }

  stopMotion() {
    this.motion?.cancel();
    this.motion = null;
  }

  hide(hasResult) {
    this.box.hidden = true;
    this.empty.hidden = hasResult;
    this.root.dataset.busy = "false";
    this.stopMotion();
  }
}
