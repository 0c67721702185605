// Filters on images, as scipy.ndimage defines them; what lies outside an image never counts.

/** The largest value in windows from `before` to `after` pixels around each, along both axes. */
function dilated(image, before, after) {
  return alongRows(transposed(alongRows(transposed(image), before, after)), before, after);
}

function alongRows({width, height, values}, before, after) {
  const result = grid(width, height), queue = new Int32Array(width);
  for (let row = 0; row < height * width; row += width) {
    // The queue holds the places of values that may still be the largest, these falling from first to last.
    let first = 0, last = 0, next = 0;
    for (let x = 0; x < width; x++) {
      for (const end = Math.min(x + after, width - 1); next <= end; next++) {
        while (last > first && values[row + queue[last - 1]] <= values[row + next]) last--;
        queue[last++] = next;
      }
      while (queue[first] < x - before) first++;
      result.values[row + x] = values[row + queue[first]];
    }
  }
  return result;
}

function transposed({width, height, values}) {
  const result = grid(height, width);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) result.values[x * height + y] = values[y * width + x];
  return result;
}

function mapped(image, change) {
  const result = grid(image.width, image.height), from = image.values, to = result.values;
  for (let at = 0; at < from.length; at++) to[at] = change(from[at]);
  return result;
}

/** Where an image is above a level. */
function above({width, height, values}, level) {
  const result = grid(width, height), to = result.values;
  for (let at = 0; at < to.length; at++) to[at] = values[at] > level ? 1 : 0;
  return result;
}

/** The smallest value in windows around each pixel. */
function eroded(image, before, after) {
  return mapped(dilated(mapped(image, (value) => -value), before, after), (value) => -value);
}

/** Grey closing by a square: the paper without the strokes on it. */
function closed(image, side) {
  const half = side >> 1, rest = side - 1 - half, brightest = dilated(image, rest, half);
  // Where every window has a white pixel, there is nothing to erode.
  return smallest(brightest.values) === largest(brightest.values) ? brightest : eroded(brightest, half, rest);
}

/** The largest value under a pen of some shape, [y, x] places around each pixel. */
function dilatedByPen({width, height, values}, places) {
  const result = grid(width, height);
  result.values.fill(-Infinity);
  for (const [down, right] of places) {
    const first = Math.max(0, -right), end = Math.min(width, width - right);
    for (let y = Math.max(0, -down); y < Math.min(height, height - down); y++) {
      const to = y * width, from = (y + down) * width + right;
      for (let x = first; x < end; x++)
        if (values[from + x] > result.values[to + x]) result.values[to + x] = values[from + x];
    }
  }
  return result;
}

/** Blurred by a Gaussian; the image goes on mirrored at its edges. */
function blurred(image, sigma) {
  const radius = Math.floor(4 * sigma + 0.5), weights = [];
  for (let at = -radius; at <= radius; at++) weights.push(Math.exp((-0.5 * at * at) / (sigma * sigma)));
  const total = weights.reduce((sum, each) => sum + each, 0);
  const normal = weights.map((each) => each / total);
  return blurredRows(transposed(blurredRows(transposed(image), normal, radius)), normal, radius);
}

function blurredRows({width, height, values}, weights, radius) {
  const result = grid(width, height), line = new Float64Array(width + 2 * radius);
  for (let row = 0; row < height * width; row += width) {
    for (let x = -radius; x < width + radius; x++)
      line[x + radius] = values[row + (x < 0 ? -1 - x : x >= width ? 2 * width - 1 - x : x)];
    for (let x = 0; x < width; x++) {
      let sum = weights[radius] * line[x + radius];  // in scipy's order, to its last bit
      for (let at = 0; at < radius; at++) sum += weights[at] * (line[x + at] + line[x + 2 * radius - at]);
      result.values[row + x] = sum;
    }
  }
  return result;
}

const CROSS = [[-1, 0], [1, 0], [0, -1], [0, 1]];
const SQUARE = [...CROSS, [-1, -1], [-1, 1], [1, -1], [1, 1]];

/** Connected parts of a mask, numbered from 1 as they are met, and their areas; labels[0] stays 0. */
function connected({width, height, values}, neighbours) {
  // A margin of one pixel has no need of questions about the edge.
  const wide = width + 2, inside = new Uint8Array(wide * (height + 2)), stack = new Int32Array(values.length);
  const labels = new Int32Array(values.length), areas = [0];
  const steps = Int32Array.from(neighbours, ([down, right]) => down * wide + right);
  for (let at = 0, y = 0; y < height; y++)
    for (let x = 0; x < width; x++) inside[(y + 1) * wide + x + 1] = values[at++] ? 1 : 0;
  for (let start = 0; start < inside.length; start++) {
    if (!inside[start]) continue;
    const label = areas.push(0) - 1;
    let size = 0;
    inside[start] = 0;
    stack[size++] = start;
    while (size) {
      const at = stack[--size], y = Math.floor(at / wide);
      labels[(y - 1) * width + at - y * wide - 1] = label;
      areas[label]++;
      for (let each = 0; each < steps.length; each++) {
        const next = at + steps[each];
        if (!inside[next]) continue;
        inside[next] = 0;
        stack[size++] = next;
      }
    }
  }
  return {labels, areas};
}

/** The mean distance of a mask's pixels from what is outside it, Euclidean. */
function meanDistance(mask) {
  const {width, height, values} = mask, across = new Float64Array(values.length).fill(Infinity);
  for (let x = 0; x < width; x++) {  // in its column
    for (let y = 0, run = Infinity; y < height; y++) across[y * width + x] = run = values[y * width + x] ? run + 1 : 0;
    for (let y = height - 1, run = Infinity; y >= 0; y--) {
      run = values[y * width + x] ? run + 1 : 0;
      across[y * width + x] = Math.min(across[y * width + x], run);
    }
  }
  let sum = 0, count = 0;
  for (let at = 0; at < values.length; at++) {
    if (!values[at]) continue;
    const x = at % width, row = at - x;
    let nearest = across[at] ** 2;
    for (let away = 1; away * away < nearest && away < width; away++) {
      if (x >= away) nearest = Math.min(nearest, away * away + across[row + x - away] ** 2);
      if (x + away < width) nearest = Math.min(nearest, away * away + across[row + x + away] ** 2);
    }
    sum += Math.sqrt(nearest);
    count++;
  }
  return sum / count;
}

/** Resized bilinearly; reduced ones are smoothed, as torch does with antialias=True. */
function resized(image, width, height) {
  return transposed(resizedRows(transposed(resizedRows(image, width)), height));
}

function resizedRows({width, height, values}, size) {
  const result = grid(size, height), scale = width / size, reach = Math.max(scale, 1);
  for (let x = 0; x < size; x++) {
    const centre = scale * (x + 0.5);
    const first = Math.max(Math.floor(centre - reach + 0.5), 0), end = Math.min(Math.floor(centre + reach + 0.5), width);
    const weights = [];
    for (let at = first; at < end; at++) weights.push(Math.max(0, 1 - Math.abs((at - centre + 0.5) / reach)));
    const total = weights.reduce((sum, each) => sum + each, 0);
    for (let y = 0; y < height; y++) {
      let sum = 0;
      for (let at = first; at < end; at++) sum += weights[at - first] * values[y * width + at];
      result.values[y * size + x] = sum / total;
    }
  }
  return result;
}
