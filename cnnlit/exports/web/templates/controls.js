// The answer in large, and the sliders.

class AnswerCard {
  constructor(network, several) {
    this.network = network;
    this.name = element("b");
    this.words = element("p");
    this.none = element("p", {class: "none"});
    this.element = element("div", {class: "answer"}, this.name, element("div", {},
      ...(several ? [element("h2", {}, network.label)] : []), this.words, this.none));
  }

  show(logits, layer, current) {
    this.answer = this.network.classes[indexOfLargest(logits)];
    const blank = current.why === "nothing is drawn";
    showText(this.name, blank ? "·" : this.answer);
    this.distance = layer.said(logits) + (current.digit.label ? `; its label is ${current.digit.label}` : "");
    showText(this.words, blank ? "Draw a digit." : this.distance);
    this.say(blank ? null : current.why);
  }

  /** Why it is none of the classes, or null; returns the whole in words. */
  doubted(why) {
    const blank = why === "nothing is drawn";
    this.say(blank ? null : why);
    if (blank) return "Nothing is drawn.";
    return `${this.network.label} says ${this.answer}: ${this.distance}.${why ? ` Perhaps none of these: ${why}.` : ""}`;
  }

  say(why) {
    showText(this.none, why ? `None of these? ${why[0].toUpperCase()}${why.slice(1)}.` : "");
    this.element.classList.toggle("doubtful", Boolean(why));
  }
}

/** The distortions of 1998 within their ranges, and two more. */
class Sliders {
  constructor(ranges, changed) {
    this.changed = changed;
    const [small, large] = ranges.scaling.map((g) => 1 / g).reverse();
    const [low, high] = ranges.translation_pixels, pixels = (value) => `${signed(value)} px`;
    this.rows = [
      ["right", "Shift right", low, high, 0, pixels], ["down", "Shift down", low, high, 0, pixels],
      ["size", "Size", small, large, 1, (value) => `${value.toFixed(2)} ×`],
      ["squeezing", "Squeeze", ...ranges.squeezing, 1, (value) => value.toFixed(2)],
      ["shear", "Shear", ...ranges.shear, 0, signed],
      ["rotation", "Rotate", -15, 15, 0, (value) => `${signed(value).replace(/\.\d+/, "")}°`],
      ["stroke", "Stroke", -1, 1, 0, pixels],
    ].map(([key, label, least, most, neutral, words]) => this.row({key, label, least, most, neutral, words}));
    byId("sliders").append(...this.rows.map((row) => row.element));
    byId("neutral").addEventListener("click", () => this.set((row) => row.neutral));
    byId("random").addEventListener("click", () => this.set((row) =>
      (["rotation", "stroke"].includes(row.key) ? row.neutral : row.least + Math.random() * (row.most - row.least))));
    this.read();
  }

  row(row) {
    row.output = element("output", {for: `slider-${row.key}`});
    row.input = element("input", {type: "range", id: `slider-${row.key}`, min: row.least, max: row.most, step: "any",
      oninput: () => { this.read(); this.changed(); },
      onkeydown: (event) => this.typed(event, row)});
    row.input.value = row.neutral;
    row.element = element("div", {class: "slider"},
      element("label", {for: `slider-${row.key}`}, row.label), row.input, row.output);
    return row;
  }

  /** A fortieth of the range with each key. */
  typed(event, row) {
    const way = {ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1}[event.key];
    if (!way) return;
    event.preventDefault();
    const next = Number(row.input.value) + (way * (row.most - row.least)) / 40;
    row.input.value = Math.abs(next - row.neutral) < 1e-9 ? row.neutral : next;
    this.read();
    this.changed();
  }

  set(valueOf) {
    for (const row of this.rows) row.input.value = valueOf(row);
    this.read();
    this.changed();
  }

  read() {
    this.values = {};
    this.neutral = true;
    for (const {key, input, neutral, words, output} of this.rows) {
      const value = Number(input.value);
      this.values[key] = value;
      if (value !== neutral) this.neutral = false;
      output.textContent = words(value);
      input.setAttribute("aria-valuetext", words(value));
    }
    this.values.scaling = 1 / this.values.size;
  }
}
