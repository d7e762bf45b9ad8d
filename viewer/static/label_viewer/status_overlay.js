// What covers the stage while something is happening, or after it went wrong.

/** The last picture stays behind it, dimmed. */
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
   * @param {boolean} hasPicture whether there is one to go back to
   * @param {number | null} fraction how much is done, 0 to 1; null when nobody knows
   */
  show(kind, title, text, hasPicture, fraction = null) {
    this.box.hidden = false;
    this.box.dataset.kind = kind;
    this.box.setAttribute("role", kind === "error" ? "alert" : "status");
    this.title.textContent = title;
    this.text.textContent = text;
    this.dismiss.hidden = kind !== "error" || !hasPicture;
    this.empty.hidden = true;
    this.root.dataset.busy = "true";
    this.bar.hidden = kind === "error";
    this.progress(fraction);
  }

  /** A bar of a known length, or one that moves to and fro unless motion is unwelcome. */
  progress(fraction) {
    const known = typeof fraction === "number";
    this.bar.style.setProperty("--pw-done", known ? Math.min(1, Math.max(0, fraction)) : 0.35);
    if (known) this.bar.setAttribute("aria-valuenow", String(Math.round(fraction * 100)));
    else this.bar.removeAttribute("aria-valuenow");
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (known || calm || this.bar.hidden) {
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

  hide(hasPicture) {
    this.box.hidden = true;
    this.empty.hidden = hasPicture;
    this.root.dataset.busy = "false";
    this.stopMotion();
  }
}
