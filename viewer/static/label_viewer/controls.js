// Sliders, choices, buttons, the save menu and the divider: DOM in, plain calls out.

const SPLIT_STEP = 0.02;

/**
 * Wire a range input and the number beside it.
 * @param {HTMLInputElement} input
 * @param {HTMLElement} output
 * @param {(value: number) => string} words
 * @param {(value: number) => void} changed
 */
export function listenToSlider(input, output, words, changed) {
  input.addEventListener("input", () => {
    const value = Number(input.value);
    output.textContent = words(value);
    input.setAttribute("aria-valuetext", words(value));
    changed(value);
  });
}

/** Wire a group of radio buttons; they need a name of their own in each viewer. */
export function listenToChoice(group, changed) {
  const name = "pw-" + group.dataset.setting + "-" + Math.random().toString(36).slice(2);
  for (const input of group.querySelectorAll("input")) {
    input.name = name;
    input.addEventListener("change", () => {
      if (input.checked) changed(group.dataset.setting, input.value);
    });
  }
  // Without a name, all radio buttons were on their own until here: restore the default.
  const first = group.querySelector("[checked]");
  if (first) first.checked = true;
}

/** A menu button by the ARIA pattern: arrows move, Escape closes, focus comes back. */
export function listenToMenu(menu, chosen) {
  const button = menu.querySelector("[aria-haspopup]");
  const list = menu.querySelector("[role=menu]");
  const items = [...list.querySelectorAll("[role=menuitem]:not([hidden])")];
  const open = (on) => {
    list.hidden = !on;
    button.setAttribute("aria-expanded", String(on));
  };
  button.addEventListener("click", () => {
    open(list.hidden);
    if (!list.hidden) items[0].focus();
  });
  list.addEventListener("click", (event) => {
    const item = event.target.closest("[data-save]");
    if (!item) return;
    open(false);
    button.focus();
    chosen(item.dataset.save);
  });
  menu.addEventListener("keydown", (event) => {
    if (list.hidden) return;
    const at = items.indexOf(document.activeElement);
    const moves = { ArrowDown: at + 1, ArrowUp: at - 1 + items.length, Home: 0, End: -1 };
    if (event.key === "Escape") {
      open(false);
      button.focus();
    } else if (event.key in moves) {
      items.at(moves[event.key] % items.length).focus();
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  });
  menu.addEventListener("focusout", (event) => {
    if (!menu.contains(event.relatedTarget)) open(false);
  });
}

/** The before/after divider: a slider for pointer and keys. */
export function listenToDivider(divider, box, split, changed) {
  const set = (value) => changed(Math.min(1, Math.max(0, value)));
  divider.addEventListener("pointerdown", (event) => {
    event.stopPropagation();
    divider.setPointerCapture(event.pointerId);
    divider.focus();
    event.preventDefault();
  });
  divider.addEventListener("pointermove", (event) => {
    if (!divider.hasPointerCapture(event.pointerId)) return;
    const rect = box.getBoundingClientRect();
    set((event.clientX - rect.left) / rect.width);
    event.stopPropagation();
  });
  divider.addEventListener("keydown", (event) => {
    const step = SPLIT_STEP * (event.shiftKey ? 5 : 1);
    const targets = {
      ArrowLeft: split() - step,
      ArrowDown: split() - step,
      ArrowRight: split() + step,
      ArrowUp: split() + step,
      PageDown: split() - 0.1,
      PageUp: split() + 0.1,
      Home: 0,
      End: 1,
    };
    if (!(event.key in targets)) return;
    set(targets[event.key]);
    event.preventDefault();
    event.stopPropagation();
  });
}

/** Full screen where the browser offers it; else the viewer covers the page. */
export async function toggleFullScreen(root) {
  if (document.fullscreenElement === root) {
    await document.exitFullscreen();
  } else if (root.classList.contains("pw-cover")) {
    root.classList.remove("pw-cover");
  } else {
    try {
      await root.requestFullscreen();
    } catch {
      root.classList.add("pw-cover");
    }
  }
  document.dispatchEvent(new Event("fullscreenchange"));
}

/** Keep the button's state true, whoever ends full screen; Escape uncovers the page too. */
export function showFullScreen(root, button) {
  document.addEventListener("fullscreenchange", () => {
    const on = document.fullscreenElement === root || root.classList.contains("pw-cover");
    button.setAttribute("aria-pressed", String(on));
  });
  root.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && root.classList.contains("pw-cover")) toggleFullScreen(root);
  });
}

// The controls around the stage: what each of them sets.

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
    root.querySelectorAll(".pw-divider, .pw-compare-label").forEach((part) => {
      part.hidden = !settings.compare;
    });
    // Left at an edge, the divider would come back unseen.
    if (settings.split < 0.05 || settings.split > 0.95) setSplit(0.5);
  });
}

/** What counts as unsure: a threshold of one's own in percent, or what the map says. */
export function thresholdInWords(percent) {
  return percent ? "below " + percent + " %" : "by itself";
}

/** How strong the colours lie on the photo. */
export function strengthInWords(percent) {
  if (!percent) return "none";
  return percent < 40 ? "faint" : percent < 75 ? "clear" : "strong";
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
  listenToSlider(find("opacity"), find("opacity-value"), strengthInWords, (number) => {
    settings.opacity = number / 100;
    act.painted();
  });
  listenToSlider(find("threshold"), find("threshold-value"), thresholdInWords, (number) => {
    settings.threshold = number;
    act.changed();
  });
  for (const group of root.querySelectorAll(".pw-controls .pw-choice")) {
    listenToChoice(group, (setting, choice) => {
      settings[setting] = choice;
      act.changed();
      if (setting !== "palette") return;
      // The bars of the pinned pixel follow without asking the server.
      document.dispatchEvent(new CustomEvent("pixelwise-palette", { detail: choice }));
    });
  }
  const names = root.querySelector("[data-act=names]");
  names.addEventListener("click", () => {
    settings.names = !settings.names;
    names.setAttribute("aria-pressed", String(settings.names));
    act.changed();
  });
  for (const [name, action] of Object.entries(act.buttons)) {
    root.querySelector("[data-act=" + name + "]").addEventListener("click", action);
  }
  listenToCompare(root, settings);
}
