// From a picture file to a network's pixels, as serving/decode.py has them: squashed, bilinear, antialiased, on white.

const RATIOS = [8, 4, 2]; // by which the model's decoder lets libjpeg shrink a JPEG while it decodes

// uint8 [size * size * 3], RGB; `road` is preprocess.json.
export async function pixelsOf(blob, { size }) {
  const bitmap = await createImageBitmap(blob, { imageOrientation: "from-image", colorSpaceConversion: "none" });
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "white";
  context.fillRect(0, 0, bitmap.width, bitmap.height);
  context.drawImage(bitmap, 0, 0);
  let picture = { width: bitmap.width, height: bitmap.height, data: context.getImageData(0, 0, bitmap.width, bitmap.height).data, step: 4 };
  const isJpeg = (await blob.slice(0, 2).bytes?.() ?? new Uint8Array(await blob.slice(0, 2).arrayBuffer()))[0] === 0xff;
  const ratio = RATIOS.find(each => Math.min(bitmap.width, bitmap.height) >= each * size);
  if (isJpeg && ratio) picture = averaged(picture, ratio);
  return Uint8Array.from(resized(picture, size), value => value + 0.5);
}

function averaged({ width, height, data, step }, ratio) {
  const [columns, rows] = [Math.ceil(width / ratio), Math.ceil(height / ratio)];
  const out = new Float32Array(columns * rows * 3);
  for (let y = 0; y < rows; y++) for (let x = 0; x < columns; x++) for (let c = 0; c < 3; c++) {
    let sum = 0, count = 0;
    for (let v = y * ratio; v < Math.min(height, (y + 1) * ratio); v++)
      for (let u = x * ratio; u < Math.min(width, (x + 1) * ratio); u++, count++) sum += data[(v * width + u) * step + c];
    out[(y * columns + x) * 3 + c] = Math.round(sum / count);
  }
  return { width: columns, height: rows, data: out, step: 3 };
}

function resized({ width, height, data, step }, size) {
  const shrinks = width > size || height > size;
  const down = spans(height, size, shrinks), across = spans(width, size, shrinks);
  const narrow = new Float32Array(height * size * 3), out = new Float32Array(size * size * 3);
  for (let y = 0; y < height; y++) for (let x = 0; x < size; x++) {
    const { start, weights } = across[x];
    for (let c = 0; c < 3; c++) {
      let sum = 0;
      for (let tap = 0; tap < weights.length; tap++) sum += weights[tap] * data[(y * width + start + tap) * step + c];
      narrow[(y * size + x) * 3 + c] = sum;
    }
  }
  for (let y = 0; y < size; y++) {
    const { start, weights } = down[y];
    for (let tap = 0; tap < weights.length; tap++) {
      const row = (start + tap) * size * 3;
      for (let place = 0; place < size * 3; place++) out[y * size * 3 + place] += weights[tap] * narrow[row + place];
    }
  }
  return out;
}

// What each of `size` places is made of: a triangle as wide as the scale, or the two neighbours where nothing shrinks.
function spans(length, size, shrinks) {
  const scale = length / size, reach = shrinks ? Math.max(scale, 1) : 1;
  return Array.from({ length: size }, (_, place) => {
    const centre = (place + 0.5) * scale;
    const within = at => Math.min(Math.max(at, 0), length - 1);
    const first = Math.ceil(centre - reach - 0.5), last = Math.floor(centre + reach - 0.5);
    const start = within(first), weights = new Array(within(last) - start + 1).fill(0);
    for (let at = first; at <= last; at++) {
      if (shrinks && at !== within(at)) continue; // beyond the edge there is nothing; upsampling repeats the edge
      weights[within(at) - start] += Math.max(0, 1 - Math.abs(at + 0.5 - centre) / reach);
    }
    const sum = weights.reduce((one, other) => one + other);
    return { start, weights: weights.map(weight => weight / sum) };
  });
}
