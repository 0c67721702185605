// Numbers as NumPy and Python have them.

/** To the nearest whole number; halves to the even one. */
function roundHalfEven(value) {
  const below = Math.floor(value), rest = value - below;
  if (rest !== 0.5) return Math.round(value);
  return below % 2 ? below + 1 : below;
}

/** The quantile, from 0 to 1, with linear interpolation between two values. Only what is above the least is sorted. */
function quantile(values, fraction) {
  const least = smallest(values), kept = new Float64Array(values.length);
  let count = 0;
  for (let at = 0; at < values.length; at++) if (values[at] > least) kept[count++] = values[at];
  const sorted = kept.subarray(0, count).sort(), rest = values.length - count;
  const at = (place) => (place < rest ? least : sorted[place - rest]);
  const place = fraction * (values.length - 1), below = Math.floor(place);
  const above = Math.min(below + 1, values.length - 1);
  return at(below) + (place - below) * (at(above) - at(below));
}

const median = (values) => quantile(values, 0.5);
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

function largest(values) {
  let most = values[0];
  for (let at = 1; at < values.length; at++) if (values[at] > most) most = values[at];
  return most;
}

function smallest(values) {
  let least = values[0];
  for (let at = 1; at < values.length; at++) if (values[at] < least) least = values[at];
  return least;
}

const indexOfLargest = (values) => values.reduce((best, each, at) => (each > values[best] ? at : best), 0);

/** Bytes of base64, as floats or as they are. */
function decoded(base64, Kind) {
  const text = atob(base64), bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
  return new Kind(bytes.buffer);
}

/** An image: values row by row. */
function grid(width, height, values) {
  return {width, height, values: values ?? new Float32Array(width * height)};
}
