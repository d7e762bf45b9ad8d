// The overlay on the stage during a run and after an error.

import { announce } from "./loader.js";

const BLOOM_MS = 700;
const LARGEST_LOCAL = 2048; // pixels of the longer side: sharp on any screen, and quick

const isCalm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/**
 * The overlay; the last result stays visible behind it, dimmed, or the next photo, as the browser
 * shows its own file, until its labels arrive.
 */
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
    /** Whether what is under way may be cancelled; the photo's input says so. */
    this.cancellable = false;
    this.cancel = document.createElement("button");
    this.cancel.type = "button";
    this.cancel.className = "pw-button pw-cancel";
    this.cancel.textContent = "Cancel";
    this.cancel.hidden = true;
    this.cancel.addEventListener("click", () => announce("cancel"));
    this.dismiss.after(this.cancel);
    this.local = document.createElement("canvas");
    this.local.className = "pw-local";
    this.local.setAttribute("aria-hidden", "true");
    this.local.hidden = true;
    this.stage = find("stage");
    this.stage.querySelector(".pw-outline").after(this.local);
    root.pixelwiseOverlay = this;
  }

  /**
   * Show a photo that has no labels yet in place of the last picture.
   * @param {ImageBitmap} bitmap
   */
  preview(bitmap) {
    const scale = Math.min(1, LARGEST_LOCAL / Math.max(bitmap.width, bitmap.height));
    this.local.width = Math.max(1, Math.round(bitmap.width * scale));
    this.local.height = Math.max(1, Math.round(bitmap.height * scale));
    this.local.getContext("2d").drawImage(bitmap, 0, 0, this.local.width, this.local.height);
    if (this.local.hidden) this.aspect = this.stage.style.getPropertyValue("--pw-aspect");
    this.stage.style.setProperty("--pw-aspect", bitmap.width + " / " + bitmap.height);
    this.local.hidden = false;
    this.empty.hidden = true;
    this.root.dataset.local = "true";
  }

  /** Back from the unlabelled photo to the picture before it, or on to its labels. */
  endPreview(labels) {
    if (this.local.hidden) return;
    this.local.hidden = true;
    this.local.width = this.local.height = 1;
    delete this.root.dataset.local;
    if (!labels) {
      this.stage.style.setProperty("--pw-aspect", this.aspect || "3 / 2");
    } else if (!isCalm()) {
      for (const layer of this.stage.querySelectorAll(".pw-labels, .pw-names")) {
        layer.animate(
          [
            { opacity: 0, clipPath: "circle(0% at 50% 50%)" },
            { opacity: 1, clipPath: "circle(75% at 50% 50%)" },
          ],
          { duration: BLOOM_MS, easing: "ease-out" },
        );
      }
    }
  }

  /**
   * @param {"working" | "error"} kind
   * @param {string} title
   * @param {string} text
   * @param {boolean} hasResult whether there is a result to return to
   * @param {number | null} fraction progress from 0 to 1; null if unknown
   */
  show(kind, title, text, hasResult, fraction = null) {
    if (kind === "error") this.endPreview(false);
    this.box.hidden = false;
    this.box.dataset.kind = kind;
    this.cancel.hidden = kind === "error" || !this.cancellable;
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
    if (known || isCalm() || this.bar.hidden) {
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

  /**
   * @param {boolean} hasResult whether there is a result below
   * @param {boolean} labels whether it is the result of the photo that was previewed
   */
  hide(hasResult, labels = hasResult) {
    this.endPreview(labels);
    this.box.hidden = true;
    this.empty.hidden = hasResult;
    this.root.dataset.busy = "false";
    this.stopMotion();
  }
}
