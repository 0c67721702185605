// What the page does: a digit comes from the sheet, is changed, and every network is shown it.

const page = JSON.parse(document.getElementById("page").textContent);
const rules = page.rules, byId = (id) => document.getElementById(id);
const networks = page.networks.map((description) => new Network(description));
const views = networks.map((network) => new NetworkView(network, networks.length > 1));
const answers = networks.map((network) => new AnswerCard(network, networks.length > 1));
const pad = new Pad(byId("pad"), (words) => { byId("pen-said").textContent = words; }, () => changed());
const sliders = new Sliders(page.ranges, () => changed());

/** What is shown: a drawing brought to 28x28, or a picture that has this size. */
function currentDigit() {
  if (pad.picture) return {digit: pad.picture, why: null, drawn: false};
  if (!pad.strokes.length) return {digit: grid(rules.side, rules.side), why: "nothing is drawn", drawn: true};
  return {...findDrawing(pad.pixels(), rules), drawn: true};
}

/** A digit as a network of this image size is shown it, distorted as the sliders say. */
function presented(digit, size) {
  if (sliders.neutral) return framed(digit, size);
  return distorted(thickened(digit, sliders.values.stroke), size, sliders.values, page.bottom);
}

let waiting = false, pause;

function changed() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => { waiting = false; frame(); });
}

/** One frame: prepare, compute, draw. The answer is doubted once the pen rests, for that takes eight more passes. */
function frame() {
  const current = currentDigit();
  networks.forEach((network, at) => {
    const logits = network.answer(presented(current.digit, network.image));
    views[at].draw();
    answers[at].show(logits, views[at].answer, current);
  });
  clearTimeout(pause);
  pause = setTimeout(() => rested(current), 250);
}

function rested(current) {
  const words = networks.map((network, at) => answers[at].doubted(current.why ?? doubtOf(network, current)));
  byId("said").textContent = words.join(" ");
}

function doubtOf(network, current) {
  if (!current.drawn || !sliders.neutral) return null;
  const answer = indexOfLargest(network.answerDigit(current.digit));
  const why = network.doubt(current, answer, rules);
  network.answerDigit(current.digit);
  return why;
}

function begin() {
  byId("networks").append(...views.map((view) => view.element));
  byId("answers").append(...answers.map((answer) => answer.element));
  byId("answers").classList.toggle("pair", answers.length > 1);
  const rows = views.map((view) => view.element.children.length);
  byId("networks").classList.toggle("alike", rows.every((each) => each === rows[0]));
  byId("networks").style.setProperty("--rows", rows[0]);
  byId("clear").addEventListener("click", () => pad.clear());
  byId("undo").addEventListener("click", () => pad.undo());
  addExamples();
  for (const choice of document.querySelectorAll("[name=theme]")) choice.addEventListener("change", recolour);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
  new ResizeObserver(refit).observe(byId("networks"));
  if (matchMedia("(min-width: 60rem)").matches) byId("changes").open = true;
  recolour();
  pad.showPath(PLAIN[3]);
}

function refit() {
  views.forEach((view) => view.fit());
  pad.fit();
}

function recolour() {
  const chosen = document.querySelector("[name=theme]:checked").value;
  if (chosen === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = chosen;
  palette.read();
  views.forEach((view) => { view.answer.recolour(); view.show(); });
  drawThumbnails();
  pad.draw();
}

function addExamples() {
  const drawn = (label, path) => element("button", {
    type: "button", "aria-label": label, title: label, onclick: () => pad.showPath(path),
  }, strokesOfPath(path));
  byId("plain").append(...PLAIN.map((path, digit) => drawn(`a ${digit}`, path)));
  byId("hard").append(...HARD.map(([label, path]) => drawn(label, path)));
  byId("pictures").append(...page.pictures.map((picture) => {
    const label = `test image ${picture.number}: ${picture.label}`;
    return element("button", {type: "button", "aria-label": label, title: label,
      onclick: () => pad.showPicture(digitOf(picture))}, picture.cells = new Cells(1, 28, 1, 0).canvas);
  }));
  byId("hardest").hidden = !page.pictures.length;
}

const digitOf = ({pixels, label}) => ({...grid(28, 28, Float32Array.from(decoded(pixels, Uint8Array))), label});

function drawThumbnails() {
  page.pictures.forEach((picture) => {
    const cells = new Cells(1, 28, 1, 0);
    cells.draw(digitOf(picture).values, [0, 255], palette.ramp);
    picture.cells.width = picture.cells.height = 28;
    picture.cells.getContext("2d").drawImage(cells.canvas, 0, 0);
  });
}

function strokesOfPath(path) {
  const space = "http://www.w3.org/2000/svg", svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "15 0 110 140");
  svg.setAttribute("aria-hidden", "true");
  svg.append(document.createElementNS(space, "path"));
  svg.firstChild.setAttribute("d", path);
  return svg;
}
