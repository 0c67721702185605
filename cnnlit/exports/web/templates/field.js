// Maps and units of a layer, in one canvas; each can be chosen by pointer and keyboard, and has words.

const element = (name, attributes = {}, ...children) => {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
};

/** New words in an element, if they are new: what stays need not be laid out again. */
function showText(shown, words) {
  if (shown.textContent !== words) shown.textContent = words;
}

/** The page's colours as what canvases are filled with: from the lowest to the highest value, and of either sign. */
const palette = {
  read() {
    const style = getComputedStyle(document.documentElement);
    const of = (name) => style.getPropertyValue(name).trim().match(/[\da-f]{2}/gi).map((each) => parseInt(each, 16));
    const [low, high, negative] = [of("--map-low"), of("--map-high"), of("--negative")];
    [this.ink, this.accent] = ["--ink", "--accent"].map((name) => style.getPropertyValue(name).trim());
    const mixed = (from, to, part) => {
      const [r, g, b] = from.map((value, at) => Math.round(value + part * (to[at] - value)));
      return (255 << 24) | (b << 16) | (g << 8) | r;
    };
    this.ramp = Int32Array.from({length: 256}, (_, at) => mixed(low, high, at / 255));
    this.signed = Int32Array.from({length: 256}, (_, at) =>
      at < 128 ? mixed(low, negative, (128 - at) / 128) : mixed(low, high, (at - 128) / 127));
  },
};

/** Values as pixels of a canvas: cells of `side` pixels, `columns` in a row, `gap` pixels apart. */
class Cells {
  constructor(count, side, columns, gap) {
    Object.assign(this, {count, side, columns, gap});
    this.canvas = element("canvas", {"aria-hidden": "true"});
    this.arrange(columns);
  }

  arrange(columns) {
    const {count, side, gap, canvas} = this;
    this.columns = columns;
    canvas.width = columns * (side + gap) - gap;
    canvas.height = Math.ceil(count / columns) * (side + gap) - gap;
    this.context = canvas.getContext("2d");
    this.image = this.context.createImageData(canvas.width, canvas.height);
    this.pixels = new Int32Array(this.image.data.buffer);
  }

  /** From the lowest to the highest colour of `colours` are `low` to `high`. */
  draw(values, [low, high], colours, start = 0) {
    const {count, side, columns, gap, pixels} = this, width = this.canvas.width, factor = 255 / (high - low || 1);
    for (let cell = 0, at = start; cell < count; cell++) {
      const first = Math.floor(cell / columns) * (side + gap) * width + (cell % columns) * (side + gap);
      for (let y = 0; y < side; y++)
        for (let x = 0, to = first + y * width; x < side; x++) {
          const level = (values[at++] - low) * factor;
          pixels[to++] = colours[level < 0 ? 0 : level > 255 ? 255 : Math.round(level)];
        }
    }
    this.context.putImageData(this.image, 0, 0);
  }

  show(pixels) {
    this.canvas.style.width = `${this.canvas.width * pixels}px`;
    this.canvas.style.height = `${this.canvas.height * pixels}px`;
    return this.canvas;
  }
}

let fields = 0;

/** All maps of a layer. `words(cell)` are what a screen reader says of one; `choose(cell)` is called when it is chosen. */
class Field {
  constructor({count, side, label, words, choose, columns}) {
    Object.assign(this, {count, side, words, choose, fixedColumns: columns, active: 0, id: `field-${fields++}`});
    const gap = side === 1 ? 0 : Math.max(1, Math.round(side / 10));
    this.cells = new Cells(count, side, columns ?? count, gap);
    this.marks = element("div", {class: "marks", "aria-hidden": "true"});
    this.options = element("div", {class: "unseen"}, ...Array.from({length: count}, (_, cell) =>
      element("span", {role: "option", id: `${this.id}-${cell}`, "aria-selected": "false"}, words(cell))));
    this.element = element("div", {
      class: "field", role: "listbox", tabindex: "0", "aria-label": label, "aria-activedescendant": `${this.id}-0`,
      onclick: (event) => this.pointed(event), onkeydown: (event) => this.typed(event),
      onfocus: () => this.mark(), onblur: () => this.mark(),
    }, this.cells.canvas, this.marks, this.options);
    this.chosen = null;
    this.connected = [];
  }

  /** As many columns as fit a width in pixels, with maps that can be seen. */
  fit(width, dense) {
    const {count, side, cells} = this;
    const wanted = side === 1 ? (dense ? 12 : 15) : side > 20 ? (count === 1 ? 112 : 92) : 36 + 2 * side;
    const all = Array.from({length: count}, (_, at) => at + 1).filter((each) => count % each === 0);
    const scaleOf = (columns) => {  // whole pixels of the screen for each of a map
      const scale = Math.min(wanted / side, width / (columns * (side + cells.gap) - cells.gap));
      return Math.max(1, Math.floor(scale * devicePixelRatio)) / devicePixelRatio;
    };
    const columns = this.fixedColumns ?? all.filter((each) => scaleOf(each) * side >= 0.62 * wanted).pop() ?? 1;
    cells.arrange(columns);
    this.scale = scaleOf(columns);
    cells.show(this.scale);
    this.mark();
  }

  draw(values, range) {
    this.cells.draw(values, range, palette.ramp);
  }

  pointed({clientX, clientY}) {
    const box = this.cells.canvas.getBoundingClientRect(), step = (this.side + this.cells.gap) * this.scale;
    const column = clamp(Math.floor((clientX - box.left) / step), 0, this.cells.columns - 1);
    const cell = Math.floor((clientY - box.top) / step) * this.cells.columns + column;
    if (cell >= 0 && cell < this.count) this.pick(cell);
  }

  typed(event) {
    const steps = {ArrowRight: 1, ArrowLeft: -1, ArrowDown: this.cells.columns, ArrowUp: -this.cells.columns,
      Home: -this.active, End: this.count - 1 - this.active};
    if (event.key in steps) this.move(steps[event.key]);
    else if (event.key === "Enter" || event.key === " ") this.pick(this.active);
    else if (event.key === "Escape") this.choose(null);
    else return;
    event.preventDefault();
  }

  move(step) {
    const next = this.active + step;
    if (next < 0 || next >= this.count) return;
    this.active = next;
    this.element.setAttribute("aria-activedescendant", `${this.id}-${next}`);
    if (this.chosen !== null) this.choose(next);
    this.mark();
  }

  pick(cell) {
    this.active = cell;
    this.element.setAttribute("aria-activedescendant", `${this.id}-${cell}`);
    this.choose(cell === this.chosen ? null : cell);
    this.mark();
  }

  /** Outline the chosen cell, those that it is connected to, and the one that the keyboard is at. */
  mark(chosen = this.chosen, connected = this.connected) {
    if (chosen !== this.chosen)
      [...this.options.children].forEach((option, cell) => option.setAttribute("aria-selected", String(cell === chosen)));
    Object.assign(this, {chosen, connected});
    const at = document.activeElement === this.element && this.element.matches(":focus-visible") ? [this.active] : [];
    this.marks.replaceChildren(
      ...connected.map((cell) => this.outline(cell, "seen")),
      ...(chosen === null ? [] : [this.outline(chosen, "chosen")]),
      ...at.map((cell) => this.outline(cell, "at")));
  }

  outline(cell, kind) {
    const {columns, gap} = this.cells, step = (this.side + gap) * this.scale, made = element("i", {class: kind});
    const size = this.side * this.scale;
    Object.assign(made.style, {
      left: `${(cell % columns) * step}px`, top: `${Math.floor(cell / columns) * step}px`,
      width: `${size}px`, height: `${size}px`,
    });
    return made;
  }
}
