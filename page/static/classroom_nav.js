// Navigation between the views, and the projector mode; neither sends a request.

const box = element.querySelector(".cl-board");
const KEY = "pixelwise-projector";

function openView(view) {
  document.querySelector("#classroom").dataset.view = view;
  for (const step of box.querySelectorAll(".cl-step")) {
    if (step.dataset.view === view) step.setAttribute("aria-current", "step");
    else step.removeAttribute("aria-current");
  }
}

function setProjector(on) {
  document.documentElement.classList.toggle("pw-projector", on);
  box.querySelector(".cl-projector")?.setAttribute("aria-pressed", String(on));
  try {
    sessionStorage.setItem(KEY, on ? "1" : "");
  } catch {
    // without storage the mode lasts until the page is closed
  }
}

/** Return whether the mode was on before the page was reloaded; the page's class may come later. */
function wasOn() {
  try {
    return Boolean(sessionStorage.getItem(KEY));
  } catch {
    return document.documentElement.classList.contains("pw-projector");
  }
}

box.innerHTML = props.value;
box.addEventListener("click", (event) => {
  const pressed = event.target.closest("button");
  if (pressed?.dataset.view) {
    openView(pressed.dataset.view);
    // on a phone the view is below the photo
    if (matchMedia("(max-width: 900px)").matches) {
      document.querySelector("#cl-view-" + pressed.dataset.view).scrollIntoView({ block: "start" });
    }
  } else if (pressed?.matches(".cl-projector")) {
    setProjector(!document.documentElement.classList.contains("pw-projector"));
  }
});
openView("1");
setProjector(wasOn());
