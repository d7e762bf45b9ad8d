// The photo's way: chosen, shown at once from its own file, sent, labelled; nothing lost between.

const root = element.querySelector(".ph");
const file = root.querySelector(".ph-file");
const word = root.querySelector(".ph-word");
const invite = root.querySelector(".ph-invite");
const MOST_TRIES = 5; // of a photo that does not arrive although the server answers
const POINT = "Point anywhere. Click to ask what it is.";
const onPhone = matchMedia("(pointer: coarse)").matches;
const camera = new PhotoCamera(root.querySelector(".ph-camera"), (photo) => take([photo]));

/** The viewer beside this input, once its own script has run. */
const viewer = () => document.querySelector("#viewer .pw");
const loader = () => viewer()?.pixelwise?.loader;
const overlay = () => viewer()?.pixelwiseOverlay;

let under = null; // the photo on its way: {file, bitmap, source, sent, abort}
let shown = props.value; // what the picture on the stage was made from

function say(kind, text, fraction = null) {
  const title = kind === "error" ? "This picture cannot be used" : "One moment";
  overlay()?.show(kind, title, text, Boolean(viewer()?.pixelwise?.map), fraction);
}

/** Take what a person has given: one photo, or several, which have a tab of their own. */
function take(files, example = null) {
  if (!files.length) return;
  if (!loader()) {
    const kept = [...files];
    setTimeout(() => take(kept, example), 50); // the viewer's own script is still to run
    return;
  }
  if (files.length > 1) {
    document.dispatchEvent(new CustomEvent("pixelwise:several", { detail: [...files] }));
    return;
  }
  const refused = example ? "" : refusalOf(files[0], props.max_mb);
  if (refused) {
    stop();
    say("error", refused);
    goToStage();
    return;
  }
  begin({ file: files[0], example });
}

/** Show a photo from its own file, send it, and have it labelled. */
async function begin(photo) {
  stop();
  under = photo;
  document.dispatchEvent(new CustomEvent("pixelwise:begun", { detail: photo }));
  photo.abort = new AbortController();
  root.dataset.state = "busy";
  look();
  overlay().cancellable = true;
  say("working", "Reading the photo …");
  photo.bitmap ??= await decodePhoto(photo.file).catch(() => null);
  if (under !== photo) return;
  if (photo.bitmap) overlay().preview(photo.bitmap);
  goToStage();
  caption(photo.example);
  try {
    if (!photo.example) say("working", "Sending your photo …", 0);
    const told = (part) =>
      under === photo &&
      !photo.sent &&
      say("working", "Sending your photo: " + Math.round(100 * part) + " %", part);
    photo.source = photo.example?.path ?? (await sendFile(photo.file, told, photo.abort.signal));
  } catch (error) {
    if (under !== photo || error.name === "AbortError") return;
    photo.tries = (photo.tries ?? 0) + 1;
    if (error instanceof NoConnection && photo.tries < MOST_TRIES) {
      wait();
      tellLost();
    } else {
      fail(error.message || "The photo did not arrive. Try again.");
    }
    return;
  }
  if (under === photo) await ask(photo);
}

/** Ask for the labels of a photo that the server has. */
async function ask(photo) {
  photo.sent = true;
  if (photo.bitmap) loader().keep(photo.source, photo.bitmap);
  loader().expect(photo.source);
  say("working", "Labelling every pixel …");
  props.value = describe(photo.source, photo.file?.name, Boolean(photo.bitmap));
  await new Promise((done) => setTimeout(done));
  trigger("chosen", {});
}

const describe = (path, name, isShown) => ({
  photo: { path, orig_name: name || "photo", meta: { _type: "gradio.FileData" } },
  is_shown: isShown,
});

function fail(text) {
  under = null;
  say("error", text);
  settle();
}

/** The server does not answer: the photo stays on the stage and waits. */
function wait() {
  overlay().cancellable = true;
  say("working", "No connection. Your photo waits here, and is sent when it is back.");
}

const tellLost = () => document.dispatchEvent(new CustomEvent("pixelwise:lost"));

/** End what is under way, here and on the server; what was shown is shown again. */
function stop() {
  if (!under) return;
  const { source, sent, abort } = under;
  under = null;
  abort.abort();
  if (sent) {
    loader().ignore(source);
    trigger("cancel", {});
  }
  props.value = shown;
  overlay()?.hide(Boolean(viewer()?.pixelwise?.map), false);
  settle();
}

function settle() {
  if (overlay()) overlay().cancellable = false;
  const id = viewer()?.pixelwise?.value?.id;
  root.dataset.state = !id || id === "example" ? "first" : "after";
  look();
}

function look() {
  const { state } = root.dataset;
  word.textContent = state === "first" ? "Choose a photo" : "New photo";
  invite.hidden = !props.invite;
  invite.textContent = state === "first" ? props.invite : POINT;
}

/** The picture comes first: to the top of a small screen, into sight of a large one. */
function goToStage() {
  const small = matchMedia("(max-width: 900px)").matches;
  const target = small ? viewer() : viewer()?.querySelector(".pw-stage");
  target?.scrollIntoView({ block: small ? "start" : "nearest" });
}

const caption = (example) => {
  const box = document.querySelector("#example-caption .pw-caption");
  if (!box) return;
  box.replaceChildren();
  if (!example) return;
  const title = document.createElement("strong");
  title.textContent = example.title + ". ";
  box.append(title, example.told);
};

file.addEventListener("change", () => {
  take(file.files);
  file.value = "";
});
root.addEventListener("click", (event) => {
  const act = event.target.closest("[data-act]")?.dataset.act;
  if (act !== "choose" && act !== "take") return;
  if (act === "take" && !onPhone) {
    camera.open();
    return;
  }
  file.toggleAttribute("multiple", act === "choose");
  if (act === "take") file.setAttribute("capture", "environment");
  else file.removeAttribute("capture");
  file.click();
});

const listen = (name, heard) => document.addEventListener("pixelwise:" + name, heard);
listen("photo", ({ detail }) => take(detail));
listen("choose", () => root.querySelector("[data-act=choose]").click());
listen("cancel", () => {
  caption(null);
  stop();
});
listen("example", async ({ detail }) => {
  try {
    const answer = await fetch(detail.url);
    if (!answer.ok) throw new Error();
    const photo = new File([await answer.blob()], detail.name, { type: "image/jpeg" });
    take([photo], detail);
  } catch {
    tellLost();
  }
});
listen("shown", ({ detail }) => {
  if (under && under.source === detail.source) under = null;
  if (!under) {
    shown = props.value;
    settle();
  }
});
listen("refused", () => {
  if (!under?.sent) return;
  under = null;
  props.value = shown;
  settle();
});
// The browser's copy is of another size than the labels: the server's picture is shown instead.
listen("unseen", ({ detail }) => {
  props.value = describe(detail.source, props.value?.photo.orig_name, false);
  setTimeout(() => trigger("chosen", {}));
});
listen("lost", () => under && wait());
listen("back", () => {
  if (!under) return;
  const { file: photo, bitmap, example, tries } = under;
  begin({ file: photo, bitmap, example, tries });
});

// Another tab has set a photo: it is labelled here, as if it had been chosen.
watch("value", () => {
  const path = props.value?.photo?.path;
  if (!path || path === shown?.photo.path || path === under?.source) return;
  document.dispatchEvent(
    new CustomEvent("pixelwise:example", {
      detail: {
        path,
        url: location.pathname.replace(/[/]?$/, "/") + "gradio_api/file=" + path,
        name: props.value.photo.orig_name ?? "photo",
        ...(window.pixelwiseExamples?.find((one) => one.path === path) ?? { title: "", told: "" }),
      },
    }),
  );
});

root.querySelector(".ph-drop").hidden = onPhone;
root.querySelector(".ph-privacy").textContent = props.privacy ?? "";
/** For tests and the curious, read-only by convention. */
root.photoInput = { take, get under() { return under; }, get shown() { return shown; } };
settleWhenReady();

function settleWhenReady() {
  if (viewer()?.pixelwise) {
    settle();
    if (file.files.length) take(file.files); // chosen before this script ran
  } else setTimeout(settleWhenReady, 50);
}
