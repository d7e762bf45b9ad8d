/**
 * Keep how the picture is shown over a reload: colours, their strength, names. In this tab's session
 * storage alone, so it goes with the tab. Runs once, when the page has loaded.
 */
() => {
  const KEY = "pixelwise-looks";
  const find = (selector) => document.querySelector("#viewer " + selector);
  const strength = () => find(".pw-opacity");
  const names = () => find("[data-act=names]");
  const palette = (which) => find(`[data-setting=palette] input${which}`);

  function save() {
    const looks = {
      opacity: strength().value,
      names: names().getAttribute("aria-pressed"),
      palette: palette(":checked")?.value,
    };
    try {
      sessionStorage.setItem(KEY, JSON.stringify(looks));
    } catch {
      // a browser that keeps nothing: a reload begins with the usual looks
    }
  }

  function restore() {
    let looks = null;
    try {
      looks = JSON.parse(sessionStorage.getItem(KEY) ?? "null");
    } catch {
      return;
    }
    if (!looks) return;
    strength().value = looks.opacity;
    strength().dispatchEvent(new Event("input", { bubbles: true }));
    if (names().getAttribute("aria-pressed") !== looks.names) names().click();
    const chosen = [...document.querySelectorAll("#viewer [data-setting=palette] input")].find(
      ({ value }) => value === looks.palette,
    );
    if (chosen && !chosen.checked) chosen.click();
  }

  const begin = (tries = 200) => {
    if (find(".pw")?.pixelwise) {
      restore();
      find(".pw").addEventListener("input", save);
      find(".pw").addEventListener("click", () => setTimeout(save));
    } else if (tries) {
      setTimeout(() => begin(tries - 1), 50);
    }
  };
  begin();
}
