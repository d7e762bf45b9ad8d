// The example photos: labelled thumbnails with their names, each of which is a button.

const list = element.querySelector(".ex-list");
const offered = props.value?.examples ?? [];
window.pixelwiseExamples = offered.map((one) => ({
  title: one.title,
  told: one.told,
  path: one.photo.path,
}));
for (const one of offered) {
  const item = document.createElement("li");
  const button = document.createElement("button");
  button.type = "button";
  button.className = "ex-item";
  button.title = one.told;
  button.setAttribute("aria-label", "Example photo: " + one.title);
  button.dataset.title = one.title;
  button.dataset.photo = one.name.replace(/[.][a-z]+$/, "");
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
  button.addEventListener("click", () =>
    document.dispatchEvent(
      new CustomEvent("pixelwise:example", {
        detail: {
          path: one.photo.path,
          url: one.photo.url,
          name: one.name,
          photo: button.dataset.photo,
          title: one.title,
          told: one.told,
        },
      }),
    ),
  );
  item.append(button);
  list.append(item);
}
