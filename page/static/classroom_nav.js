// The way through the views, and the projector mode: looks only, no request.

const box = element.querySelector(".cl-board");
const KEY = "pixelwise-projector";

function open(view) {
  document.querySelector("#classroom").dataset.view = view;
  for (const step of box.querySelectorAll(".cl-step")) {
    if (step.dataset.view === view) step.setAttribute("aria-current", "step");
    else step.removeAttribute("aria-current");
  }
}

function project(on) {
  document.documentElement.classList.toggle("pw-projector", on);
  box.querySelector(".cl-projector")?.setAttribute("aria-pressed", String(on));
  try {
    sessionStorage.setItem(KEY, on ? "1" : "");
  } catch {
    // a browser that keeps nothing still shows it until the page is left
  }
}

box.innerHTML = props.value;
box.addEventListener("click", (event) => {
  const pressed = event.target.closest("button");
  if (pressed?.dataset.view) {
    open(pressed.dataset.view);
    // on a phone the view lies below the photo
    if (matchMedia("(max-width: 900px)").matches) {
      document.querySelector("#cl-view-" + pressed.dataset.view).scrollIntoView({ block: "start" });
    }
  } else if (pressed?.matches(".cl-projector")) {
    project(!document.documentElement.classList.contains("pw-projector"));
  }
});
open("1");
project(document.documentElement.classList.contains("pw-projector"));
