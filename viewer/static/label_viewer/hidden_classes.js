// The classes that are switched off, stored by name so that they apply to the next photo and to
// another model too.

/** The hidden classes. */
export class HiddenClasses {
  constructor() {
    this.names = new Set();
  }

  /** Return their indices among a result's categories. */
  indices(categories) {
    const hidden = categories.filter(({ raw }) => this.names.has(raw));
    return new Set(hidden.map(({ index }) => index));
  }

  toggle(map, index) {
    const { raw } = map.categories[index];
    if (!this.names.delete(raw)) this.names.add(raw);
  }

  /** Show one class alone, or all classes if it is alone already. */
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

  /** Show all classes of a new result if all of them are hidden. */
  showIfAllHidden(map) {
    const names = presentNames(map);
    if (names.every((name) => this.names.has(name))) {
      names.forEach((name) => this.names.delete(name));
    }
  }
}

/** Return the raw names of the classes in a result. */
function presentNames(map) {
  return map.areas.map((area) => map.categories[area.index].raw);
}
