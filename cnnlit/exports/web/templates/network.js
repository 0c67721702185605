// The network: its layers, one after another, in plain loops.

const ACTIVATIONS = {
  scaled_tanh: (a) => 3.4318 / (1 + Math.exp((-4 / 3) * a)) - 1.7159,
  tanh: Math.tanh,
  sigmoid: (a) => 1 / (1 + Math.exp(-a)),
  relu: (a) => (a > 0 ? a : 0),
  leaky_relu: (a) => (a > 0 ? a : 0.01 * a),
  elu: (a) => (a > 0 ? a : Math.expm1(a)),
  gelu: (a) => 0.5 * a * (1 + erf(a / Math.SQRT2)),
  silu: (a) => a / (1 + Math.exp(-a)),
};

/** To 1.5e-7. Source: Abramowitz, Stegun 1964, 7.1.26. */
function erf(x) {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  return Math.sign(x) * (1 - series * Math.exp(-x * x));
}

const LAYERS = {
  /** Kernels lie one after another, those of a map's inputs together. */
  convolution(layer, before, input) {
    const {kernel, padding, count, side, from, weights} = layer, stride = before.side + 2 * padding;
    const maps = padding ? withMargin(input, before, padding) : input;
    const result = layer.buffer, area = side * side, add = kernel === 3 ? addThree : kernel === 5 ? addFive : addAny;
    let weight = 0;
    for (let map = 0; map < count; map++) {
      result.fill(layer.bias[map], map * area, (map + 1) * area);
      for (const source of from[map]) {
        add(result, map * area, side, maps, source * stride * stride, stride, weights, weight, kernel);
        weight += kernel * kernel;
      }
    }
    return result;
  },
  full(layer, before, input) {
    const length = input.length;
    for (let unit = 0; unit < layer.count; unit++) {
      let sum = layer.bias[unit];
      for (let at = 0, weight = unit * length; at < length; at++) sum += layer.weights[weight++] * input[at];
      layer.buffer[unit] = sum;
    }
    return layer.buffer;
  },
  subsample(layer, before, input) {
    return pooled(layer, before, input, 0, (sum, value) => sum + value, (sum, map) =>
      sum * layer.weights[map] + layer.bias[map]);
  },
  max: (layer, before, input) => pooled(layer, before, input, -Infinity, Math.max, (most) => most),
  average(layer, before, input) {
    return pooled(layer, before, input, 0, (sum, value) => sum + value, (sum) => sum / layer.window ** 2);
  },
  /** Minus the squared distance to each class's code. */
  rbf(layer, before, input) {
    for (let unit = 0; unit < layer.count; unit++) {
      let sum = 0;
      for (let at = 0; at < input.length; at++) sum += (input[at] - layer.weights[unit * input.length + at]) ** 2;
      layer.buffer[unit] = -sum;
    }
    return layer.buffer;
  },
};

/** Add to a map what a kernel of 3x3 makes of one input; each value is read once a row. */
function addThree(result, to, side, maps, start, stride, weights, w) {
  const a = weights[w], b = weights[w + 1], c = weights[w + 2], d = weights[w + 3], e = weights[w + 4];
  const f = weights[w + 5], g = weights[w + 6], h = weights[w + 7], i = weights[w + 8];
  for (let y = 0; y < side; y++) {
    let top = start + y * stride, middle = top + stride, low = middle + stride;
    let t = maps[top++], u = maps[top++], m = maps[middle++], n = maps[middle++], k = maps[low++], l = maps[low++];
    for (let x = 0; x < side; x++, to++) {
      const v = maps[top++], o = maps[middle++], p = maps[low++];
      result[to] += a * t + b * u + c * v + d * m + e * n + f * o + g * k + h * l + i * p;
      t = u; u = v; m = n; n = o; k = l; l = p;
    }
  }
}

function addFive(result, first, side, maps, start, stride, weights, w) {
  for (let row = 0; row < 5; row++, w += 5) {
    const a = weights[w], b = weights[w + 1], c = weights[w + 2], d = weights[w + 3], e = weights[w + 4];
    for (let y = 0, to = first; y < side; y++) {
      let at = start + (row + y) * stride;
      for (let x = 0; x < side; x++, at++)
        result[to++] += a * maps[at] + b * maps[at + 1] + c * maps[at + 2] + d * maps[at + 3] + e * maps[at + 4];
    }
  }
}

function addAny(result, first, side, maps, start, stride, weights, w, kernel) {
  for (let row = 0; row < kernel; row++)
    for (let tap = 0; tap < kernel; tap++, w++)
      for (let y = 0, to = first; y < side; y++)
        for (let x = 0, at = start + (row + y) * stride + tap; x < side; x++) result[to++] += weights[w] * maps[at++];
}

function withMargin(input, {count, side}, margin) {
  const wide = side + 2 * margin, result = new Float64Array(count * wide * wide);
  for (let map = 0; map < count; map++)
    for (let y = 0; y < side; y++) {
      const row = (map * side + y) * side;
      result.set(input.subarray(row, row + side), (map * wide + y + margin) * wide + margin);
    }
  return result;
}

function pooled(layer, before, input, start, join, finish) {
  const {count, side, window, stride} = layer;
  for (let map = 0, to = 0; map < count; map++)
    for (let row = 0; row < side; row++)
      for (let column = 0; column < side; column++, to++) {
        let value = start;
        for (let y = 0; y < window; y++) {
          const at = (map * before.side + row * stride + y) * before.side + column * stride;
          for (let x = 0; x < window; x++) value = join(value, input[at + x]);
        }
        layer.buffer[to] = finish(value, map);
      }
  return layer.buffer;
}

/** A network of its description, see cnnlit/exports/web/web_layers.py. */
class Network {
  constructor(description) {
    Object.assign(this, description);
    const numbers = decoded(description.weights, Float32Array);
    const part = (range) => range && numbers.subarray(range[0], range[0] + range[1]);
    this.layers = description.layers.map((layer) => ({
      ...layer, weights: part(layer.weights), bias: part(layer.bias),
      buffer: new Float64Array(layer.count * layer.side ** 2),
    }));
    const scale = (value) => (typeof value === "number" ? () => value : ((all) => (at) => all[at])(decoded(value, Float32Array)));
    [this.multiply, this.add] = [scale(description.multiply), scale(description.add)];
  }

  /** The logits of an image, 0 to 255; `input` and each layer's `buffer` keep what was computed. */
  answer(image) {
    this.input = Float64Array.from(image.values, (value, at) => value * this.multiply(at) + this.add(at));
    let before = {count: 1, side: this.image}, values = this.input;
    for (const layer of this.layers) {
      values = LAYERS[layer.kind](layer, before, values);
      const squash = ACTIVATIONS[layer.activation];
      if (squash) for (let at = 0; at < values.length; at++) values[at] = squash(values[at]);
      before = layer;
    }
    return values;
  }

  /** Of a digit, 28x28, as a test shows it. */
  answerDigit(digit) {
    return this.answer(framed(digit, this.image));
  }

  /** Why a drawing is none of the classes, as far as this network can tell, or null. */
  doubt({digit, why}, answer, rules) {
    if (why) return why;
    const parts = rules.views.map((view) => softmax(this.answerDigit(viewed(digit, view)))[answer]);
    const sure = parts.reduce((sum, each) => sum + each, 0) / parts.length;
    return sure < rules.sure ? `varied a little, it is ${Math.round(100 * sure)}% ${this.classes[answer]}` : null;
  }
}

function softmax(logits) {
  const most = largest(logits), powers = logits.map((each) => Math.exp(each - most));
  const total = powers.reduce((sum, each) => sum + each, 0);
  return powers.map((each) => each / total);
}
