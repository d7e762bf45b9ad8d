/**
 * Accept photos dropped or pasted anywhere on the page, and upload them through the photo input, or
 * through the input for several photos while that is visible. Runs once, when the page has loaded.
 */
() => {
  const input = () => document.querySelector("#photo input[type=file]");
  const several = () => {
    const photos = document.querySelector("#several-photos");
    return photos?.offsetParent ? photos.querySelector("input[type=file]") : null; // if visible
  };
  const stage = () => document.querySelector("#viewer .pw-stage");
  const inside = (event, selector) => event.target instanceof Element && event.target.closest(selector);

  const setFiles = (target, files) => {
    const transfer = new DataTransfer();
    for (const file of files) transfer.items.add(file);
    target.files = transfer.files;
    target.dispatchEvent(new Event("change", { bubbles: true }));
    return true;
  };
  const upload = (files) => {
    if (several()) return setFiles(several(), files);
    const photo = [...files].find((file) => file.type.startsWith("image/")) ?? files[0];
    if (!photo || !input()) return false;
    return setFiles(input(), [photo]);
  };

  const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
  let depth = 0;
  const showDropTarget = (on) => document.body.classList.toggle("pw-dropping", on);

  document.addEventListener("dragenter", (event) => {
    if (carriesFiles(event) && ++depth === 1) showDropTarget(true);
  });
  document.addEventListener("dragleave", (event) => {
    if (carriesFiles(event) && --depth <= 0) showDropTarget(false);
  });
  document.addEventListener("dragover", (event) => {
    if (carriesFiles(event)) event.preventDefault();
  });
  document.addEventListener("drop", (event) => {
    depth = 0;
    showDropTarget(false);
    if (!carriesFiles(event)) return;
    event.preventDefault(); // else the browser would open the file instead of the page
    if (!inside(event, "#photo, #clip-file, #several-photos")) upload(event.dataTransfer.files);
  });
  document.addEventListener("paste", (event) => {
    if (inside(event, "input, textarea, #photo, #clip-file, #several-photos")) return;
    const files = event.clipboardData?.files;
    if (files?.length && upload(files)) event.preventDefault();
  });
  // Gradio's example images have no text: a screen reader would read "button" eight times.
  const nameExamples = () => {
    for (const button of document.querySelectorAll("#examples .gallery-item:not([aria-label])")) {
      const file = decodeURIComponent(button.querySelector("img")?.src.split("/").pop() ?? "");
      const caption = document.querySelector(`#example-words [data-file="${CSS.escape(file)}"]`);
      if (!caption) continue;
      button.setAttribute("aria-label", `Example photo: ${caption.dataset.title}`);
      button.title = caption.textContent;
      button.dataset.title = caption.dataset.title; // the style sheet shows it below the image
      button.toggleAttribute("data-tricky", "tricky" in caption.dataset);
    }
  };
  new MutationObserver(nameExamples).observe(document.body, { childList: true, subtree: true });
  nameExamples();

  document.addEventListener("click", (event) => {
    if (inside(event, "#viewer .pw[data-state=empty] .pw-stage") && stage()) input()?.click();
  });
}
