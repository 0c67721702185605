// A drawing in the form of MNIST, by the rules of cnnlit/data/small_sets/drawn_digits.py, step for step.

/**
 * What is drawn: dark strokes on a plain sheet, float 0 to 255.
 * Returns {digit: 28x28 bytes, white ink on black, why: why this can be no digit, or null}.
 */
function findDrawing(sheet, rules) {
  const ink = inkOf(sheet), strokes = strokesOf(ink, rules);
  if (!strokes) return {digit: grid(rules.side, rules.side), why: "nothing is drawn"};
  return {digit: inBox(ink, maskOf(strokes, 1), rules), why: whyNone(strokes, rules)};
}

const maskOf = (strokes, number) => mapped(strokes, (each) => Number(each === number));

/** How much darker each pixel is than the paper around it. */
function inkOf(sheet) {
  const longest = Math.max(sheet.width, sheet.height);
  const smooth = blurred(sheet, longest / 320);
  const paper = closed(smooth, Math.max(3, Math.floor((longest * 2) / 5)));
  const brightest = largest(paper.values), least = 0.25 * brightest + 1;
  const ink = grid(sheet.width, sheet.height), white = paper.values, seen = smooth.values;
  for (let at = 0; at < seen.length; at++)
    ink.values[at] = Math.max(0, (white[at] - seen[at]) * (brightest / Math.max(white[at], least)));
  return ink;
}

/** The groups of strokes, numbered from 1, the largest first; null if there is only paper. */
function strokesOf(ink, rules) {
  const middle = median(ink.values), grain = 1.5 * median(ink.values.map((each) => Math.abs(each - middle)));
  if (quantile(ink.values, 0.997) - middle < Math.max(rules.faintest, rules.clearest * grain)) return null;
  const threshold = Math.max(otsu(ink.values), Math.fround(middle + 3 * grain));
  const blobs = connected(above(ink, threshold), SQUARE);
  const least = 0.04 * largest(blobs.areas);
  const large = Uint8Array.from(blobs.areas, (area) => Number(area > 0 && area >= least)), kept = grid(ink.width, ink.height);
  for (let at = 0; at < blobs.labels.length; at++) kept.values[at] = large[blobs.labels[at]];
  const box = boxOf(kept, 0);
  const reach = Math.max(1, roundHalfEven(0.06 * Math.sqrt(box.width * box.height)));
  return ranked(kept, connected(dilated(kept, reach, reach), SQUARE));
}

function ranked(kept, near) {
  const areas = new Array(near.areas.length).fill(0);
  kept.values.forEach((is, at) => { if (is) areas[near.labels[at]]++; });
  const order = areas.map((_, at) => at).slice(1).sort((one, other) => areas[other] - areas[one]);
  const ranks = new Array(areas.length).fill(0);
  order.forEach((number, place) => { ranks[number] = place + 1; });
  return grid(kept.width, kept.height, kept.values.map((is, at) => (is ? ranks[near.labels[at]] : 0)));
}

/** The box around what is above a level. */
function boxOf({width, height, values}, level) {
  let left = width, right = -1, top = height, bottom = -1;
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      if (values[y * width + x] > level) {
        left = Math.min(left, x); right = Math.max(right, x); top = Math.min(top, y); bottom = y;
      }
  return {left, top, width: right - left + 1, height: bottom - top + 1};
}

/** The threshold that parts ink from paper with the largest variance between both. Otsu 1979. */
function otsu(values) {
  const bins = 128, low = smallest(values), high = largest(values);
  const edges = Float32Array.from({length: bins + 1}, (_, at) => low + (at * (high - low)) / bins);
  const counts = new Float64Array(bins);
  for (const value of values) {
    let bin = Math.min(bins - 1, Math.floor(((value - low) / (high - low)) * bins));
    if (value < edges[bin]) bin--;
    else if (bin < bins - 1 && value >= edges[bin + 1]) bin++;
    counts[bin]++;
  }
  const middles = counts.map((_, at) => Math.fround((edges[at] + edges[at + 1]) / 2));
  const number = values.length, whole = counts.reduce((sum, each, at) => sum + each * middles[at], 0);
  let best = 0, most = -Infinity, below = 0, sum = 0;
  for (let at = 0; at < bins - 1; at++) {
    below += counts[at];
    sum += counts[at] * middles[at];
    const above = number - below;
    const between = below * above * (sum / Math.max(below, 1) - (whole - sum) / Math.max(above, 1)) ** 2;
    if (between > most) { most = between; best = at; }
  }
  return edges[1 + best];
}

/** What no digit has: another drawing beside it that is about as large, or more holes than an 8. */
function whyNone(strokes, rules) {
  const first = maskOf(strokes, 1), box = boxOf(first, 0), other = maskOf(strokes, 2);
  const area = first.values.reduce((sum, each) => sum + each, 0);
  const beside = other.values.reduce((sum, each) => sum + each, 0);
  const rivals = beside > 0.3 * area && boxOf(other, 0).height > 0.5 * box.height;
  if (rivals || box.width > 1.6 * box.height) return "more than one drawing";
  return holesOf(first, area, rules) > rules.mostHoles ? "more holes than an 8" : null;
}

function holesOf(mask, area, rules) {
  const paper = grid(mask.width + 2, mask.height + 2).values.fill(1);
  for (let y = 0; y < mask.height; y++)
    for (let x = 0; x < mask.width; x++)
      if (mask.values[y * mask.width + x]) paper[(y + 1) * (mask.width + 2) + x + 1] = 0;
  const parts = connected(grid(mask.width + 2, mask.height + 2, paper), CROSS);
  return parts.areas.filter((each, label) => label && each > rules.speck * area).length - 1;
}

/** Strokes of the pen's width in MNIST, fitted into its box and centred. */
function inBox(ink, mask, rules) {
  const box = boxOf(mask, 0), longest = Math.max(box.width, box.height);
  const width = (4 * meanDistance(mask) * rules.inkBox) / longest;
  const full = quantile(ink.values.filter((_, at) => mask.values[at]), 0.75);
  const near = dilatedByPen(dilatedByPen(mask, [[0, 0], ...CROSS]), [[0, 0], ...CROSS]);
  const own = grid(ink.width, ink.height, near.values.map((is, at) => (is ? clamp(ink.values[at] / full, 0, 1) : 0)));
  const wider = ((clamp(width, rules.stroke[0], rules.stroke[1]) - width) * longest) / rules.inkBox;
  const usual = asWide(own, wider), isClear = largest(usual.values) > rules.clear;
  return centred(scaled(cut(isClear ? usual : own, rules.clear), rules), rules);  // a dot has no stroke to be narrowed
}

function asWide(ink, more) {
  const side = 1 + roundHalfEven(Math.abs(more)), half = side >> 1, rest = side - 1 - half;
  if (side === 1) return ink;
  return more < 0 ? eroded(ink, half, rest) : dilatedByPen(padded(ink, side), roundPen(side, rest));
}

function roundPen(side, before) {
  const places = [], middle = (side - 1) / 2;
  for (let y = 0; y < side; y++)
    for (let x = 0; x < side; x++)
      if (Math.hypot(y - middle, x - middle) <= side / 2) places.push([y - before, x - before]);
  return places;
}

function padded({width, height, values}, edge) {
  const result = grid(width + 2 * edge, height + 2 * edge);
  for (let y = 0; y < height; y++)
    result.values.set(values.subarray(y * width, (y + 1) * width), (y + edge) * result.width + edge);
  return result;
}

function cut(ink, level) {
  const box = boxOf(ink, level), result = grid(box.width, box.height);
  for (let y = 0; y < box.height; y++) {
    const start = (y + box.top) * ink.width + box.left;
    result.values.set(ink.values.subarray(start, start + box.width), y * box.width);
  }
  return result;
}

function scaled(ink, rules) {
  const fitted = (side) => Math.max(1, roundHalfEven((side * rules.inkBox) / Math.max(ink.width, ink.height)));
  const digit = resized(ink, fitted(ink.width), fitted(ink.height));
  const full = Math.max(quantile(digit.values, 0.97), 0.3);
  return mapped(digit, (value) => clamp((255 * value) / full, 0, 255));
}

/** In the middle of its image by its centre of mass, as far as it stays inside. */
function centred(digit, {side}) {
  const {width, height, values} = digit, result = grid(side, side);
  let mass = 0, across = 0, down = 0;
  values.forEach((value, at) => {
    mass += value;
    across += value * ((at % width) + 0.5);
    down += value * (Math.floor(at / width) + 0.5);
  });
  const start = (sum, length) => Math.min(Math.max(0, roundHalfEven(side / 2 - sum / mass)), side - length);
  const left = start(across, width), top = start(down, height);
  values.forEach((value, at) => {
    result.values[(top + Math.floor(at / width)) * side + left + (at % width)] = roundHalfEven(value);
  });
  return result;
}
