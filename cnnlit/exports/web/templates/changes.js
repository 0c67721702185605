// What is done to a digit: the distortions of 1998, the views that a sure answer survives, wider strokes.

/** The value at (x, y), bilinear, nothing outside. */
function sampled({width, height, values}, x, y) {
  const left = Math.floor(x), top = Math.floor(y), right = x - left, down = y - top;
  const at = (u, v) => (u < 0 || v < 0 || u >= width || v >= height ? 0 : values[v * width + u]);
  return (1 - down) * ((1 - right) * at(left, top) + right * at(left + 1, top))
    + down * ((1 - right) * at(left, top + 1) + right * at(left + 1, top + 1));
}

/** An image of another size whose pixel at (X, Y) from its centre is the image's at `from(X, Y)`. */
function resampled(image, size, from) {
  const result = grid(size, size), middle = (size - 1) / 2;
  const centreX = (image.width - 1) / 2, centreY = (image.height - 1) / 2;
  for (let row = 0; row < size; row++)
    for (let column = 0; column < size; column++) {
      const [x, y] = from(column - middle, row - middle);
      result.values[row * size + column] = sampled(image, x + centreX, y + centreY);
    }
  return result;
}

/** In the middle of a larger image. */
function framed(digit, size) {
  const edge = Math.floor((size - digit.width) / 2), result = grid(size, size);
  for (let y = 0; y < digit.height; y++)
    result.values.set(digit.values.subarray(y * digit.width, (y + 1) * digit.width), (y + edge) * size + edge);
  return result;
}

/** Scaled, squeezed, sheared and shifted as in cnnlit/data/transforms/distortions.py, after a rotation. */
function distorted(digit, size, {scaling, squeezing, shear, right, down, rotation}, bottom) {
  const a = scaling * squeezing, d = scaling / squeezing, b = shear * d;
  const cos = Math.cos((rotation * Math.PI) / 180), sin = Math.sin((rotation * Math.PI) / 180);
  return resampled(digit, size, (column, row) => {
    const x = cos * column + sin * row, y = cos * row - sin * column;
    return [a * x + b * y - right, bottom + d * (y - bottom) - down];
  });
}

/** Strokes wider by up to a pixel on either side, or narrower with less than 0. */
function thickened(digit, pixels) {
  if (!pixels) return digit;
  const cross = [[0, 0], ...CROSS], negative = (image) => mapped(image, (value) => -value);
  const whole = pixels > 0 ? dilatedByPen(digit, cross) : negative(dilatedByPen(negative(digit), cross));
  const part = Math.abs(pixels);
  return grid(digit.width, digit.height, digit.values.map((value, at) => value + part * (whole.values[at] - value)));
}

/** One of drawn_digits.VIEWS, to whole grey levels: degrees, pixels along both axes, scale, degrees of shear. */
function viewed(digit, [degrees, shift, scale, shearDegrees]) {
  const angle = (degrees * Math.PI) / 180, tan = Math.tan((shearDegrees * Math.PI) / 180);
  const a = Math.cos(angle), b = -a * tan - Math.sin(angle), c = Math.sin(angle), d = -c * tan + a;
  const view = resampled(digit, digit.width, (column, row) => {
    const x = column - shift, y = row - shift;
    return [(d * x - b * y) / scale, (a * y - c * x) / scale];
  });
  return mapped(view, roundHalfEven);
}
