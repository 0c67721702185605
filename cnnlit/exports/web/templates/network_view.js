// A network on the page: its layers from the image to the answer, and what a chosen map is connected to.

const SPANS = {scaled_tanh: [-1.7159, 1.7159], tanh: [-1, 1], sigmoid: [0, 1]};
const NAMES = {
  scaled_tanh: "the scaled tanh", tanh: "tanh", sigmoid: "the sigmoid", relu: "ReLU", leaky_relu: "leaky ReLU",
  elu: "ELU", gelu: "GELU", silu: "SiLU",
};
const listed = (words) => (words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`);
const signed = (value) => value.toFixed(2).replace("-", "\u2212");
const unitsOf = ({side}) => (side === 1 ? "unit" : "map");
const percent = (part) => (part > 0.9995 && part < 1 ? "> 99.9 %" : `${(100 * part).toFixed(1)} %`);

/** What a layer does, in a few words. */
function operation(layer) {
  const windows = `${layer.window} × ${layer.window}`;
  return {
    convolution: `convolution ${layer.kernel} × ${layer.kernel}`,
    full: "sees all before",
    subsample: `sub-sampling ${windows}, coefficient and bias`,
    max: layer.side === 1 ? "the largest of each map" : `largest of ${windows}`,
    average: layer.side === 1 ? "the mean of each map" : `mean of ${windows}`,
  }[layer.kind];
}

class NetworkView {
  constructor(network, several) {
    Object.assign(this, {network, several, open: null});
    this.input = {name: "Input", count: 1, side: network.image};
    this.shown = network.layers.slice(0, -1);
    this.output = network.layers.at(-1);
    this.fields = this.shown.map((layer, place) => this.fieldOf(layer, place));
    this.inputField = new Field({
      count: 1, side: network.image, label: "The image as the network sees it", words: () => "the image",
      choose: () => {},
    });
    this.detail = element("div", {class: "detail"});
    this.answer = network.classes.length === 10 && this.output.kind === "rbf" ? new Codes(network) : new Bars(network);
    this.rows = [this.row(this.input, this.inputField, `${network.image} × ${network.image}${network.image > 28 ? ", padded" : ""}`),
      ...this.shown.map((layer, place) => this.row(layer, this.fields[place], operation(layer)))];
    this.element = element("article", {class: "network", "aria-label": network.label}, this.heading(),
      ...this.rows, this.lastRow());
  }

  heading() {
    const facts = element("ul", {class: "facts"}, ...this.network.facts.map((fact) =>
      element("li", {class: this.network.own.includes(fact) ? "own" : null}, fact)));
    return element("header", {}, element("h2", {}, this.network.title), facts);
  }

  row(layer, field, does) {
    const size = layer.side === 1 ? `${layer.count} units` : `${layer.count} × ${layer.side} × ${layer.side}`;
    const words = layer === this.input ? does : `${size} · ${does}`;
    return element("section", {class: "layer"},
      element("div", {class: "name"}, element("h3", {}, layer.name), element("p", {}, words)),
      element("div", {class: "maps"}, field.element));
  }

  lastRow() {
    return element("section", {class: "layer output"},
      element("div", {class: "name"}, element("h3", {}, this.answer.title), element("p", {}, this.answer.words)),
      element("div", {class: "maps"}, this.answer.element));
  }

  fieldOf(layer, place) {
    const size = layer.side === 1 ? `${layer.count} units` : `${layer.count} maps of ${layer.side} by ${layer.side}`;
    return new Field({
      count: layer.count, side: layer.side, label: `${layer.name}: ${size}; ${operation(layer)}`,
      words: (cell) => this.words(place, cell), choose: (cell) => this.choose(place, cell),
      columns: {84: 7, 120: 20, 56: 14}[layer.side === 1 ? layer.count : 0],
    });
  }

  before(place) {
    return place ? this.shown[place - 1] : this.input;
  }

  valuesBefore(place) {
    return place ? this.shown[place - 1].buffer : this.network.input;
  }

  /** Which maps of the layer before a map sees. */
  seen(place, cell) {
    const layer = this.shown[place], before = this.before(place);
    if (layer.kind === "convolution") return layer.from[cell];
    return layer.kind === "full" ? Array.from({length: before.count}, (_, at) => at) : [cell];
  }

  words(place, cell) {
    const layer = this.shown[place], before = this.before(place), seen = this.seen(place, cell);
    const all = seen.length === before.count && seen.length > 1;
    const which = place === 0 ? "the image" : all ? `all of ${before.name}`
      : `${unitsOf(before)}${seen.length > 1 ? "s" : ""} ${listed(seen)} of ${before.name}`;
    return `${layer.name}, ${unitsOf(layer)} ${cell}: sees ${which}`;
  }

  fit() {
    for (const field of [this.inputField, ...this.fields])
      field.fit(field.element.parentElement.clientWidth, this.several);
    if (this.open) this.show();
  }

  draw() {
    this.inputField.draw(this.network.input, [this.network.add(0), this.network.add(0) + 255 * this.network.multiply(0)]);
    let span = [0, 1];
    this.spans = this.shown.map((layer) => {
      if (layer.activation) span = SPANS[layer.activation] ?? [0, Math.max(1e-6, largest(layer.buffer))];
      return span;
    });
    this.fields.forEach((field, place) => field.draw(this.shown[place].buffer, this.spans[place]));
    this.answer.draw(this.output.buffer, this.shown.at(-1).buffer, this.spans.at(-1));
    for (const [cells, start] of this.live ?? [])
      cells.draw(this.valuesBefore(this.open.place), this.spanBefore(this.open.place), palette.ramp, start);
  }

  spanBefore(place) {
    const {network} = this;
    return place ? this.spans[place - 1] : [network.add(0), network.add(0) + 255 * network.multiply(0)];
  }

  choose(place, cell) {
    const isNew = this.open?.place !== place;
    this.open = cell === null ? null : {place, cell};
    this.show();
    if (this.open && isNew) this.detail.scrollIntoView({block: "nearest"});
  }

  /** The chosen map: its kernels, beside the maps that they are laid on. */
  show() {
    [this.inputField, ...this.fields].forEach((field) => field.mark(null, []));
    this.live = [];
    if (!this.open) {
      this.detail.remove();
      return;
    }
    const {place, cell} = this.open, layer = this.shown[place], before = this.before(place);
    const seen = this.seen(place, cell);
    this.fields[place].mark(cell, []);
    (place ? this.fields[place - 1] : this.inputField).mark(null, seen.length === before.count && place ? [] : seen);
    this.detail.replaceChildren(
      element("div", {class: "head"}, element("h4", {}, `${layer.name}, ${unitsOf(layer)} ${cell}`),
        element("button", {type: "button", class: "quiet", onclick: () => this.closed(place)}, "Close")),
      element("p", {}, this.sentence(place, cell)), this.connections(place, cell, seen),
      ...(layer.from && layer.from.some((each) => each.length < before.count) ? [this.table(place, cell)] : []));
    this.rows[place + 1].lastChild.append(this.detail);
    if (this.spans) this.draw();
  }

  closed(place) {
    this.choose(place, null);
    this.fields[place].element.focus();
  }

  sentence(place, cell) {
    const layer = this.shown[place], squash = layer.activation ? `, then ${NAMES[layer.activation]}` : "";
    const bias = layer.bias ? `, plus ${signed(layer.bias[cell])}` : "", windows = `${layer.window} × ${layer.window}`;
    const sees = this.words(place, cell).split(": ")[1];
    return {
      convolution: `It ${sees}: each kernel slid over its map, all summed${bias}${squash}.`,
      full: `It ${sees}: each value times its weight, all summed${bias}${squash}.`,
      subsample: `It ${sees}: the sum of each ${windows} window, times ${signed(layer.weights?.[cell] ?? 0)}${bias}${squash}.`,
      max: `It ${sees}: the largest value of each ${windows} window.`,
      average: `It ${sees}: the mean of each ${windows} window.`,
    }[layer.kind];
  }

  connections(place, cell, seen) {
    const layer = this.shown[place], before = this.before(place), size = before.side ** 2;
    if (layer.kind === "full" && before.side === 1) return this.weightsOfUnits(place, cell);
    const side = layer.kind === "convolution" ? layer.kernel : layer.kind === "full" ? before.side : 0;
    const taps = side * side;
    const skipped = layer.kind === "convolution" ? layer.from.slice(0, cell).reduce((sum, each) => sum + each.length, 0)
      : cell * before.count;
    const own = side ? layer.weights.subarray(skipped * taps, (skipped + seen.length) * taps) : [];
    const most = Math.max(1e-9, largest(own.map?.(Math.abs) ?? []));
    return element("ul", {class: "connections"}, ...seen.map((map, at) => {
      const picture = new Cells(1, before.side, 1, 0), pixels = Math.max(1, Math.floor(56 / before.side));
      this.live.push([picture, map * size]);
      const kernel = side ? this.kernel(own.subarray(at * taps, (at + 1) * taps), side, most) : null;
      const name = place ? `${before.name} ${map}` : "image";
      return element("li", {}, picture.show(pixels), kernel, element("span", {}, name));
    }));
  }

  kernel(values, side, most) {
    const kernel = new Cells(1, side, 1, 0);
    kernel.draw(values, [-most, most], palette.signed);
    kernel.canvas.classList.add("kernel");
    return kernel.show(Math.max(4, Math.floor(45 / side)));
  }

  weightsOfUnits(place, cell) {
    const layer = this.shown[place], {count} = this.before(place), columns = this.fields[place - 1].cells.columns;
    const own = layer.weights.subarray(cell * count, (cell + 1) * count), most = largest(own.map(Math.abs));
    const weights = new Cells(count, 1, columns, 0), values = new Cells(count, 1, columns, 0);
    weights.draw(own, [-most, most], palette.signed);
    this.live.push([values, 0]);
    const pair = [[values, `values of ${this.before(place).name}`], [weights, "their weights"]];
    return element("ul", {class: "connections wide"}, ...pair.map(([cells, name]) =>
      element("li", {}, cells.show(8), element("span", {}, name))));
  }

  /** Table I: which maps each map sees, the chosen one's column marked. */
  table(place, cell) {
    const {from, name} = this.shown[place], before = this.before(place);
    const row = (map) => element("tr", {}, element("th", {scope: "row"}, String(map)), ...from.map((each, at) =>
      element("td", {class: at === cell ? "is" : null}, each.includes(map) ? "×" : "")));
    const head = element("tr", {}, element("th", {scope: "col"}, ""), ...from.map((_, at) =>
      element("th", {scope: "col", class: at === cell ? "is" : null}, String(at))));
    return element("table", {class: "table-1"},
      element("caption", {}, `Table I of 1998: the maps of ${before.name} (rows) that each map of ${name} sees`),
      element("thead", {}, head), element("tbody", {}, ...Array.from({length: before.count}, (_, map) => row(map))));
  }
}

/** The ten codes with the distance of F6 from each. */
class Codes {
  constructor(network) {
    Object.assign(this, {network, title: "Output", words: "squared distance of F6 from each code; the nearest wins"});
    this.drawn = network.layers.at(-1).weights;
    this.pictures = network.classes.map(() => new Cells(84, 1, 7, 0));
    this.numbers = network.classes.map(() => element("b"));
    this.bars = network.classes.map(() => element("i"));
    this.items = network.classes.map((name, at) => element("li", {},
      this.pictures[at].show(5), element("span", {class: "class"}, name), this.numbers[at],
      element("span", {class: "bar", "aria-hidden": "true"}, this.bars[at])));
    this.f6 = new Cells(84, 1, 7, 0);
    const now = element("li", {class: "now"}, this.f6.show(5), element("span", {class: "class"}, "F6"));
    this.element = element("ol", {class: "codes", "aria-label": "The ten codes and their distances"}, now, ...this.items);
  }

  draw(logits, f6, span) {
    this.f6.draw(f6, span, palette.ramp);
    const best = indexOfLargest(logits), furthest = Math.max(1, -smallest(logits));
    logits.forEach((logit, at) => {
      showText(this.numbers[at], (-logit).toFixed(1));
      this.bars[at].style.transform = `scaleX(${-logit / furthest})`;
      this.items[at].classList.toggle("best", at === best);
    });
  }

  recolour() {
    this.pictures.forEach((cells, at) => cells.draw(this.drawn, [-1, 1], palette.ramp, 84 * at));
  }

  said(logits) {
    const order = [...logits.keys()].sort((one, other) => logits[other] - logits[one]), {classes} = this.network;
    return `distance ${(-logits[order[0]]).toFixed(1)}; next ${classes[order[1]]} at ${(-logits[order[1]]).toFixed(1)}`;
  }
}

/** The probability of each class. */
class Bars {
  constructor(network) {
    Object.assign(this, {network, title: "Output", words: "softmax: the probability of each class"});
    this.numbers = network.classes.map(() => element("b"));
    this.bars = network.classes.map(() => element("i"));
    this.items = network.classes.map((name, at) => element("li", {}, element("span", {class: "class"}, name),
      element("span", {class: "bar", "aria-hidden": "true"}, this.bars[at]), this.numbers[at]));
    this.element = element("ol", {class: "bars", "aria-label": "The probability of each class"}, ...this.items);
  }

  draw(logits) {
    const parts = softmax(logits), best = indexOfLargest(logits);
    parts.forEach((part, at) => {
      showText(this.numbers[at], percent(part));
      this.bars[at].style.transform = `scaleX(${part})`;
      this.items[at].classList.toggle("best", at === best);
    });
  }

  recolour() {}

  said(logits) {
    const parts = softmax(logits), order = [...parts.keys()].sort((one, other) => parts[other] - parts[one]);
    const [first, next] = order, sure = percent(parts[first]);
    return parts[next] < 0.0005 ? sure : `${sure}; next ${this.network.classes[next]}, ${percent(parts[next])}`;
  }
}
