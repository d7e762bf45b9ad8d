/**
 * What is open is in the address: `?go=lesson-3&photo=astronaut&model=embedded`. Back and Forward go
 * through tabs, stations and photos; a reload brings back tab, station, model and photo. A visitor's
 * own photo is kept in this tab's memory and session storage, and goes with the tab. Runs once, when
 * the page has loaded.
 */
() => {
  const TABS = { photo: "label", several: "several-photos-tab", lesson: "classroom", camera: "live" };
  const MAX_KEPT = 3_000_000; // bytes of a photo; as text, browsers' five million letters hold them
  const KEPT = "pixelwise-photo";
  const memory = new Map(); // a photo's number -> its file, for Back and Forward
  let current = { go: "photo", photo: "", number: 0, ...history.state };
  let restoring = false;

  const after = (test, then, tries = 200, otherwise = () => {}) => {
    if (test()) then();
    else if (tries) setTimeout(() => after(test, then, tries - 1, otherwise), 50);
    else otherwise();
  };
  const tabOf = (name) => document.querySelector(`[role=tab][data-tab-id="${TABS[name]}"]`);
  const station = () =>
    document.querySelector("#classroom .cl-step[aria-current]")?.dataset.view ?? "1";

  /** What shows, as the address has it: "photo", "several", "lesson-3", "camera". */
  function place() {
    const open = Object.keys(TABS).find((one) => tabOf(one)?.ariaSelected === "true") ?? "photo";
    return open === "lesson" ? "lesson-" + station() : open;
  }

  function addressOf({ go, photo, model }) {
    const url = new URL(location.href);
    const set = (name, value) =>
      value ? url.searchParams.set(name, value) : url.searchParams.delete(name);
    set("go", go === "photo" ? "" : go);
    set("photo", photo);
    set("model", model);
    return url;
  }

  /** Note a change: a new entry of the history, or the present one brought up to date. */
  function note(change, isNew = true) {
    const next = { ...current, ...change };
    const same = ["go", "photo", "number", "model"].every((key) => next[key] === current[key]);
    current = next;
    if (same || restoring) return;
    if (isNew) history.pushState(next, "", addressOf(next));
    else history.replaceState(next, "", addressOf(next));
  }

  function openPlace(go) {
    const [name, view] = go.split("-");
    if (!(name in TABS) || go === place()) return;
    tabOf(name)?.click();
    if (view) {
      const step = () => document.querySelector(`#classroom .cl-step[data-view="${CSS.escape(view)}"]`);
      after(step, () => step().click());
    }
  }

  const choose = (photo) => {
    const item = () =>
      [...document.querySelectorAll("#examples .ex-item")].find((one) => one.dataset.photo === photo);
    after(item, () => item().click(), 100);
  };
  const give = (file) =>
    document.dispatchEvent(new CustomEvent("pixelwise:photo", { detail: [file] }));

  async function keep(file, number) {
    try {
      sessionStorage.removeItem(KEPT);
      if (file.size > MAX_KEPT) return;
      const reader = new FileReader();
      const read = new Promise((done) => (reader.onload = done));
      reader.readAsDataURL(file);
      await read;
      sessionStorage.setItem(
        KEPT,
        JSON.stringify({ number, name: file.name, type: file.type, data: reader.result }),
      );
    } catch {
      // no room, or a browser that keeps nothing: a reload begins with the example
    }
  }

  async function kept(number) {
    try {
      const found = JSON.parse(sessionStorage.getItem(KEPT) ?? "null");
      if (found?.number !== number) return null;
      const data = Uint8Array.from(atob(found.data.split(",")[1]), (c) => c.charCodeAt(0));
      return new File([data], found.name, { type: found.type });
    } catch {
      return null;
    }
  }

  /** Show what an entry of the history says. */
  async function restore(wanted) {
    restoring = true;
    openPlace(wanted.go);
    const shown = current;
    current = wanted;
    if (wanted.photo !== shown.photo || wanted.number !== shown.number) {
      if (wanted.photo) choose(wanted.photo);
      else if (wanted.number) {
        const file = memory.get(wanted.number) ?? (await kept(wanted.number));
        if (file) {
          memory.set(wanted.number, file);
          give(file);
        }
      }
    }
    const end = () => (restoring = false);
    after(() => place() === wanted.go, end, 40, end);
  }

  document.addEventListener("pixelwise:begun", ({ detail }) => {
    const example = detail.example?.photo ?? "";
    if (example) {
      note({ photo: example, number: 0 });
    } else if (detail.file) {
      // a photo that comes back is the entry of the history that it was
      const known = [...memory].find(([, file]) => file === detail.file);
      const number = known?.[0] ?? Date.now();
      memory.set(number, detail.file);
      if (memory.size > 12) memory.delete(memory.keys().next().value);
      keep(detail.file, number);
      note({ photo: "", number });
    }
  });
  document.addEventListener("pixelwise:model", ({ detail }) => {
    const { first, chosen } = detail;
    note({ model: chosen === first ? "" : chosen }, false);
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest?.("[role=tab], #classroom .cl-step")) {
      setTimeout(() => note({ go: place() }));
    }
  });
  addEventListener("popstate", (event) => {
    const asked = new URL(location.href).searchParams;
    restore({
      number: 0,
      ...event.state,
      go: asked.get("go") ?? "photo",
      photo: asked.get("photo") ?? "",
    });
  });

  const asked = new URL(location.href).searchParams;
  const wanted = {
    ...current,
    go: asked.get("go") ?? "photo",
    photo: asked.get("photo") ?? "",
    model: asked.get("model") ?? "",
  };
  current = { go: "photo", photo: "", number: 0, model: wanted.model };
  const ready = () => document.querySelector("#viewer .pw")?.pixelwise && tabOf("photo");
  after(ready, () => restore(wanted));
  history.replaceState(wanted, "");
}
