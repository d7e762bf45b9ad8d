// The controls around the stage: what each of them sets.

import { listenToChoice, listenToDivider, listenToSlider } from "./controls.js";

/** The divider's place, on the stage and for screen readers. */
function showSplit(root, divider, split) {
  const percent = String(Math.round(split * 100));
  root.style.setProperty("--pw-split", split);
  divider.setAttribute("aria-valuenow", percent);
  divider.setAttribute("aria-valuetext", percent + " % photo");
}

/** Before/after: the button that shows the divider, and the divider itself. */
function listenToCompare(root, settings) {
  const divider = root.querySelector(".pw-divider");
  const button = root.querySelector("[data-act=compare]");
  const setSplit = (split) => {
    settings.split = split;
    showSplit(root, divider, split);
  };
  listenToDivider(divider, root.querySelector(".pw-stage"), () => settings.split, setSplit);
  button.addEventListener("click", () => {
    settings.compare = !settings.compare;
    root.dataset.compare = String(settings.compare);
    button.setAttribute("aria-pressed", String(settings.compare));
    root.querySelectorAll(".pw-divider, .pw-side").forEach((part) => {
      part.hidden = !settings.compare;
    });
    // Left at an edge, the divider would come back unseen.
    if (settings.split < 0.05 || settings.split > 0.95) setSplit(0.5);
  });
}

/**
 * The threshold below which a pixel is unsure.
 * @param {number} percent
 * @param {boolean} hasSets whether the map itself says what is unsure, where there is no threshold
 */
export function thresholdInWords(percent, hasSets = false) {
  if (percent) return percent + " %";
  return hasSets ? "auto" : "off";
}

/**
 * Wire sliders, choices and buttons to the settings.
 * @param {HTMLElement} root
 * @param {object} settings changed in place
 * @param {{painted: () => void, changed: () => void, buttons: Object<string, () => void>}} act
 *   painted: only the picture depends on what changed; changed: the legend too
 */
export function listenToPanel(root, settings, act) {
  const find = (name) => root.querySelector(".pw-" + name);
  const percent = (number) => number + " %";
  listenToSlider(find("opacity"), find("opacity-value"), percent, (number) => {
    settings.opacity = number / 100;
    act.painted();
  });
  listenToSlider(find("threshold"), find("threshold-value"), thresholdInWords, (number) => {
    settings.threshold = number;
    act.changed();
  });
  for (const group of root.querySelectorAll(".pw-choice")) {
    listenToChoice(group, (setting, choice) => {
      settings[setting] = choice;
      act.changed();
      if (setting !== "palette") return;
      // The bars of the pinned pixel follow without asking the server.
      document.dispatchEvent(new CustomEvent("pixelwise-palette", { detail: choice }));
    });
  }
  for (const [name, action] of Object.entries(act.buttons)) {
    root.querySelector("[data-act=" + name + "]").addEventListener("click", action);
  }
  listenToCompare(root, settings);
}
