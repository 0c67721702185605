// The sheet to draw on: mouse, finger, pen, or a cursor that the arrow keys move.

const SHEET = 140, PEN = 11, RASTER = 112;  // strokes in units of the sheet; pixels of what is prepared

class Pad {
  /** `changed()` is called after every change. */
  constructor(canvas, said, changed) {
    Object.assign(this, {canvas, said, changed, strokes: [], current: null, picture: null, cursor: null, down: false});
    this.sheet = element("canvas", {width: RASTER, height: RASTER});
    this.raster = this.sheet.getContext("2d", {willReadFrequently: true});
    this.raster.scale(RASTER / SHEET, RASTER / SHEET);
    this.context = canvas.getContext("2d");
    canvas.addEventListener("pointerdown", (event) => this.pressed(event));
    canvas.addEventListener("pointermove", (event) => this.moved(event));
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, (event) => this.lifted(event));
    canvas.addEventListener("keydown", (event) => this.typed(event));
    canvas.addEventListener("blur", () => { this.cursor = null; this.down = false; this.current = null; this.draw(); });
  }

  place({clientX, clientY}) {
    const box = this.canvas.getBoundingClientRect();
    return [((clientX - box.left) / box.width) * SHEET, ((clientY - box.top) / box.height) * SHEET];
  }

  pressed(event) {
    if (event.button || this.pointer !== undefined) return;
    event.preventDefault();
    this.canvas.focus({preventScroll: true, focusVisible: false});
    this.canvas.setPointerCapture(event.pointerId);
    this.pointer = event.pointerId;
    this.cursor = null;
    this.begin(...this.place(event));
  }

  moved(event) {
    if (event.pointerId !== this.pointer) return;
    const all = event.getCoalescedEvents?.() ?? [];
    for (const each of all.length ? all : [event]) this.current?.lineTo(...this.place(each));
    this.draw();
  }

  lifted(event) {
    if (event.pointerId !== this.pointer) return;
    this.pointer = undefined;
    this.current = null;
  }

  begin(x, y) {
    this.picture = null;
    this.current = new Path2D();
    this.current.moveTo(x, y);
    this.current.lineTo(x + 0.01, y);
    this.strokes.push(this.current);
    this.draw();
  }

  typed(event) {
    const step = event.shiftKey ? 2 : 6;
    const steps = {ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step]};
    if (event.key in steps) this.walk(...steps[event.key]);
    else if (event.key === " ") this.toggle();
    else if (event.key === "Backspace") this.undo();
    else if (event.key === "Delete") this.clear();
    else return;
    event.preventDefault();
  }

  walk(right, down) {
    const [x, y] = this.cursor ?? [SHEET / 2, SHEET / 2];
    this.cursor = [clamp(x + right, PEN, SHEET - PEN), clamp(y + down, PEN, SHEET - PEN)];
    if (this.down) this.current?.lineTo(...this.cursor);
    this.draw();
  }

  toggle() {
    this.cursor ??= [SHEET / 2, SHEET / 2];
    this.down = !this.down;
    if (this.down) this.begin(...this.cursor);
    else this.current = null;
    this.said(this.down ? "pen down" : "pen up");
    this.draw();
  }

  clear() {
    Object.assign(this, {strokes: [], picture: null, current: null, down: false});
    this.draw();
  }

  undo() {
    if (this.picture) this.picture = null;
    else this.strokes.pop();
    this.current = null;
    this.down = false;
    this.draw();
  }

  /** Strokes of an SVG path in place of what is drawn. */
  showPath(path) {
    this.clear();
    this.strokes = path.split(/(?=M)/).map((each) => new Path2D(each));
    this.draw();
  }

  /** A digit, 28x28, in place of what is drawn. */
  showPicture(digit) {
    this.clear();
    this.picture = digit;
    this.draw();
  }

  /** As many pixels as the screen has for the sheet. */
  fit() {
    this.canvas.width = this.canvas.height = Math.round(this.canvas.clientWidth * devicePixelRatio);
    this.draw();
  }

  draw() {
    const size = this.canvas.width;
    this.context.setTransform(size / SHEET, 0, 0, size / SHEET, 0, 0);
    this.context.clearRect(0, 0, SHEET, SHEET);
    if (this.picture) this.drawPicture();
    this.stroke(this.context, palette.ink);
    if (this.cursor) this.drawCursor();
    this.changed();
  }

  stroke(context, colour) {
    Object.assign(context, {strokeStyle: colour, lineWidth: PEN, lineCap: "round", lineJoin: "round"});
    for (const path of this.strokes) context.stroke(path);
  }

  drawPicture() {
    const cells = new Cells(1, this.picture.width, 1, 0);
    cells.draw(this.picture.values, [0, 255], palette.ramp);
    this.context.imageSmoothingEnabled = false;
    this.context.drawImage(cells.canvas, 0, 0, SHEET, SHEET);
  }

  drawCursor() {
    const [x, y] = this.cursor;
    Object.assign(this.context, {strokeStyle: palette.accent, fillStyle: palette.accent, lineWidth: 1.5});
    this.context.beginPath();
    this.context.arc(x, y, PEN / 2 + 1, 0, 7);
    if (this.down) this.context.fill();
    this.context.stroke();
  }

  /** What is drawn as black strokes on white paper, 0 to 255. */
  pixels() {
    this.raster.fillStyle = "#fff";
    this.raster.fillRect(0, 0, SHEET, SHEET);
    this.stroke(this.raster, "#000");
    const {data} = this.raster.getImageData(0, 0, RASTER, RASTER), sheet = grid(RASTER, RASTER);
    for (let at = 0; at < RASTER * RASTER; at++) sheet.values[at] = data[4 * at];
    return sheet;
  }
}
