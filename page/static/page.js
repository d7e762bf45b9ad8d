/**
 * A photo may be dropped or pasted anywhere on the page: it is handed to the photo input, and
 * several photos to their own tab. Runs once, when the page has loaded.
 */
() => {
  const several = () => {
    const tab = document.querySelector("#several-photos");
    return tab?.offsetParent ? tab.querySelector("input[type=file]") : null; // where it shows
  };
  const inside = (event, selector) => event.target instanceof Element && event.target.closest(selector);
  const tell = (name, detail) => document.dispatchEvent(new CustomEvent("pixelwise:" + name, { detail }));

  const setFiles = (target, files) => {
    const transfer = new DataTransfer();
    for (const file of files) transfer.items.add(file);
    target.files = transfer.files;
    target.dispatchEvent(new Event("change", { bubbles: true }));
  };
  const openTab = (id) => document.querySelector(`[role=tab][data-tab-id="${id}"]`)?.click();

  /** Several photos have a tab of their own: open it, and hand them over once it is there. */
  const handSeveral = (files, tries = 40) => {
    if (tries === 40 && !several()) openTab("several-photos-tab");
    if (several()) setFiles(several(), files);
    else if (tries) setTimeout(() => handSeveral(files, tries - 1), 50);
  };
  const hand = (files) => {
    if (several()) setFiles(several(), files);
    else if (files.length > 1) handSeveral([...files]);
    else {
      const shows = (selector) => document.querySelector(selector)?.offsetParent;
      if (!shows("#viewer") && !shows("#classroom")) openTab("label");
      tell("photo", [...files]);
    }
  };
  document.addEventListener("pixelwise:several", ({ detail }) => handSeveral(detail));

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
    event.preventDefault(); // or the browser would leave the page and open the file
    if (!inside(event, "#clip-file, #several-photos")) hand(event.dataTransfer.files);
  });
  document.addEventListener("paste", (event) => {
    if (inside(event, "input:not([type=file]), textarea, #clip-file, #several-photos")) return;
    if (!event.clipboardData?.files.length) return;
    event.preventDefault();
    hand(event.clipboardData.files);
  });
  const onEmptyStage = (event) => inside(event, "#viewer .pw[data-state=empty] .pw-stage");
  document.addEventListener("click", (event) => {
    if (onEmptyStage(event) && !inside(event, "button")) tell("choose");
    if (inside(event, ".pw-chip [data-act=details]")) openCurious();
    if (inside(event, ".pw-skip")) {
      event.preventDefault();
      openTab("label");
      setTimeout(() => document.querySelector("#viewer .pw-stage")?.focus()); // once it is visible
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && onEmptyStage(event) && event.target.matches(".pw-stage")) tell("choose");
  });

  /** "details" beside who answered: opens what is for the curious, and goes there. */
  const openCurious = () => {
    const box = document.querySelector("#curious");
    const button = box?.querySelector("button.label-wrap");
    if (!button) return;
    if (!button.classList.contains("open")) button.click();
    button.focus();
    box.scrollIntoView({ block: "nearest" });
  };
}
