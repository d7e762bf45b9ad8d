// Which classes are switched off. Kept by name, so that they mean the same in the next photo and
// with another model.

/** The hidden classes. */
export class HiddenClasses {
  constructor() {
    this.names = new Set();
  }

  /** Their indices among a result's categories. */
  indices(categories) {
    const hidden = categories.filter(({ raw }) => this.names.has(raw));
    return new Set(hidden.map(({ index }) => index));
  }

  toggle(map, index) {
    const { raw } = map.categories[index];
    if (!this.names.delete(raw)) this.names.add(raw);
  }

  /** Show one class alone; once more, and all are back. */
  isolate(map, index) {
    const name = map.categories[index].raw;
    const others = presentNames(map).filter((other) => other !== name);
    const alone = !this.names.has(name) && others.every((other) => this.names.has(other));
    if (alone) this.names.clear();
    else others.forEach((other) => this.names.add(other));
    this.names.delete(name);
  }

  showAll() {
    this.names.clear();
  }

  /** A photo in which everything happens to be hidden would look like a failure: show it. */
  meet(map) {
    const names = presentNames(map);
    if (names.every((name) => this.names.has(name))) {
      names.forEach((name) => this.names.delete(name));
    }
  }
}

/** Raw names of the classes in a result. */
function presentNames(map) {
  return map.areas.map((area) => map.categories[area.index].raw);
}
