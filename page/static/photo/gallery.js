// The example photos: labelled thumbnails with their names, each of which is a button.

const list = element.querySelector(".ex-list");
const offered = props.value?.examples ?? [];
window.pixelwiseExamples = offered.map((one) => ({
  title: one.title,
  told: one.told,
  path: one.photo.path,
}));

/** An example's name in the page's address: its file's, without the ending. */
const keyOf = (name) => name.replace(/[.][a-z]+$/, "");

/** Hand an example to the photo's input, once that is there. */
function choose(one) {
  if (!document.querySelector("#photo .ph")?.photoInput) {
    setTimeout(() => choose(one), 50);
    return;
  }
  const { name, title, told } = one;
  const { path, url } = one.photo;
  const detail = { path, url, name, title, told, photo: keyOf(name) };
  document.dispatchEvent(new CustomEvent("pixelwise:example", { detail }));
}

for (const one of offered) {
  const item = document.createElement("li");
  const button = document.createElement("button");
  button.type = "button";
  button.className = "ex-item";
  button.title = one.told;
  button.setAttribute("aria-label", "Example photo: " + one.title);
  button.dataset.title = one.title;
  button.dataset.photo = keyOf(one.name);
  button.toggleAttribute("data-tricky", one.tricky);
  const picture = document.createElement("img");
  picture.src = one.thumb.url;
  picture.alt = "";
  picture.width = 80;
  picture.height = 60;
  picture.decoding = "async";
  const name = document.createElement("span");
  name.textContent = one.title;
  button.append(picture, name);
  button.addEventListener("click", () => choose(one));
  item.append(button);
  list.append(item);
}
