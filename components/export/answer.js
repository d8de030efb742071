// Answers about pixels by the TensorFlow.js model beside this file: asked on standard input, uint32 n and uint8
// [n, size, size, 3], it answers on standard output, a line of JSON with names and shapes and then all numbers, float32.
const fs = require("fs"), path = require("path"), Module = require("module");

const tf = require("./tf.min.js"), load = Module._load;
Module._load = (name, ...rest) => name.startsWith("@tensorflow/") ? tf : load(name, ...rest); // one copy is enough
require("./tf-backend-wasm.min.js");

function read(count) {
  const bytes = Buffer.alloc(count);
  for (let at = 0; at < count;) {
    const got = fs.readSync(0, bytes, at, count - at);
    if (!got) process.exit();
    at += got;
  }
  return bytes;
}

function write(bytes) {
  for (let at = 0; at < bytes.length;) at += fs.writeSync(1, bytes, at);
}

async function main() {
  await tf.setBackend("wasm");
  const { weightsManifest: [{ paths: [file], weights }], ...model } = JSON.parse(fs.readFileSync(path.join(__dirname, "model.json")));
  const weightData = new Uint8Array(fs.readFileSync(path.join(__dirname, file))).buffer;
  const network = await tf.loadGraphModel(tf.io.fromMemory({ ...model, weightSpecs: weights, weightData }));
  const { inputs: { pixels: { tensorShape } }, outputs } = model.signature;
  const shape = tensorShape.dim.slice(1).map(({ size }) => Number(size)), names = Object.keys(outputs);
  for (;;) {
    const count = read(4).readUInt32LE(), pixels = read(shape.reduce((one, other) => one * other, count));
    const answers = tf.tidy(() => network.execute(
      { pixels: tf.tensor(Int32Array.from(pixels), [count, ...shape], "int32") }, names.map(name => outputs[name].name)));
    write(Buffer.from(JSON.stringify(names.map((name, place) => [name, answers[place].shape])) + "\n"));
    for (const answer of answers) write(new Uint8Array(Float32Array.from(await answer.data()).buffer));
    tf.dispose(answers);
  }
}

main();
