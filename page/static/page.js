/**
 * A photo may be dropped or pasted anywhere on the page, not only on Gradio's input: it is handed to
 * that input, which uploads it; where several are asked for, all of them. Runs once, when the page has loaded.
 */
() => {
  const input = () => document.querySelector("#photo input[type=file]");
  const several = () => {
    const room = document.querySelector("#several-photos");
    return room?.offsetParent ? room.querySelector("input[type=file]") : null; // where it shows
  };
  const stage = () => document.querySelector("#viewer .pw-stage");
  const inside = (event, selector) => event.target instanceof Element && event.target.closest(selector);

  const give = (target, files) => {
    const transfer = new DataTransfer();
    for (const file of files) transfer.items.add(file);
    target.files = transfer.files;
    target.dispatchEvent(new Event("change", { bubbles: true }));
    return true;
  };
  const hand = (files) => {
    if (several()) return give(several(), files);
    const photo = [...files].find((file) => file.type.startsWith("image/")) ?? files[0];
    if (!photo || !input()) return false;
    return give(input(), [photo]);
  };

  const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
  let depth = 0;
  const mark = (on) => document.body.classList.toggle("pw-dropping", on);

  document.addEventListener("dragenter", (event) => {
    if (carriesFiles(event) && ++depth === 1) mark(true);
  });
  document.addEventListener("dragleave", (event) => {
    if (carriesFiles(event) && --depth <= 0) mark(false);
  });
  document.addEventListener("dragover", (event) => {
    if (carriesFiles(event)) event.preventDefault();
  });
  document.addEventListener("drop", (event) => {
    depth = 0;
    mark(false);
    if (!carriesFiles(event)) return;
    event.preventDefault(); // or the browser would leave the page and open the file
    if (!inside(event, "#photo, #clip-file, #several-photos")) hand(event.dataTransfer.files);
  });
  document.addEventListener("paste", (event) => {
    if (inside(event, "input, textarea, #photo, #clip-file, #several-photos")) return;
    if (event.clipboardData?.files.length && hand(event.clipboardData.files)) event.preventDefault();
  });
  // Gradio's example pictures carry no text: a screen reader would hear "button" eight times.
  const nameExamples = () => {
    for (const button of document.querySelectorAll("#examples .gallery-item:not([aria-label])")) {
      const file = decodeURIComponent(button.querySelector("img")?.src.split("/").pop() ?? "");
      const told = document.querySelector(`#example-words [data-file="${CSS.escape(file)}"]`);
      if (!told) continue;
      button.setAttribute("aria-label", `Example photo: ${told.dataset.title}`);
      button.title = told.textContent;
      button.dataset.title = told.dataset.title; // the style sheet shows it below the picture
      button.toggleAttribute("data-tricky", "tricky" in told.dataset);
    }
  };
  new MutationObserver(nameExamples).observe(document.body, { childList: true, subtree: true });
  nameExamples();

  document.addEventListener("click", (event) => {
    if (inside(event, "#viewer .pw[data-state=empty] .pw-stage") && stage()) input()?.click();
  });
}
