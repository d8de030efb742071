// Classifies pictures in the browser, by the bundle that this page lies in.
import * as ort from "./ort.wasm.bundle.min.mjs";
import { pixelsOf } from "./pixels.js";

const TOP = 5;
// Cosine of a golden picture's embedding by the browser's decoder: it cannot shrink large JPEGs as libjpeg does.
const ROAD = 0.99;
const at = id => document.getElementById(id);
const json = async name => (await fetch(name)).json();

const [bundle, road, golden] = await Promise.all(["bundle.json", "preprocess.json", "golden.json"].map(json));
const labels = (await (await fetch("labels.txt")).text()).split("\n").slice(0, -1);
ort.env.wasm.wasmPaths = { wasm: new URL("ort-wasm-simd-threaded.wasm", import.meta.url).href };
ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency) : 1;
const session = await ort.InferenceSession.create(bundle.file).catch(error => {
  at("state").dataset.state = "wrong";
  at("state").textContent = `The model cannot be loaded: ${error.message}`;
  throw error;
});

async function ask(pixels) {
  const answer = await session.run({ pixels: new ort.Tensor("uint8", pixels, [1, road.size, road.size, 3]) });
  return Object.fromEntries(Object.entries(answer).map(([name, tensor]) => [name, Array.from(tensor.data)]));
}

function ranked(probabilities) {
  return labels.map((label, place) => [label, probabilities[place]]).sort((one, other) => other[1] - one[1]);
}

// As fashion_client/reading.py: of each further column the most probable class that goes with the answers before it.
function tagsOf(answer) {
  const place = scores => scores.indexOf(Math.max(...scores)), chosen = [place(answer.probabilities)];
  return bundle.tags.map(tag => {
    const allowed = tag.allowed?.[chosen[tag.finer]];
    const scores = answer[`${tag.column}_probabilities`].map((score, at) => score * Number(allowed?.[at] ?? 1));
    chosen.push(place(scores));
    return [tag.column, tag.labels[chosen.at(-1)], Math.max(...scores)];
  });
}

function decision({ outside: [score] = [null] }, confidence) {
  const limits = bundle.decide;
  if (!limits) return "";
  const limit = limits.outside ?? Infinity, clear = limits.clear ?? limit;
  if (score > limit) return "outside";
  return score > clear || confidence < limits.confidence ? "unsure" : "accept";
}

function cosine(left, right) {
  let product = 0, one = 0, other = 0;
  left.forEach((value, place) => {
    product += value * right[place];
    one += value * value;
    other += right[place] * right[place];
  });
  return product / Math.sqrt(one * other);
}

// The file in this runtime is held to the model's own pixels, and the browser's decoder to the model's answers.
async function faults() {
  const wrong = [];
  for (const [name, wanted] of Object.entries(golden.pictures)) {
    const picture = await (await fetch(`golden/${name}`)).blob();
    const exact = await (await fetch(`golden/${name.replace(/\.\w+$/, ".pixels.png")}`)).blob();
    const by = { file: await ask(await pixelsOf(exact, road)), road: await ask(await pixelsOf(picture, road)) };
    const far = Math.max(...labels.map((label, place) => Math.abs(by.file.probabilities[place] - wanted.probabilities[label])));
    if (!(cosine(by.file.embedding, wanted.embedding) >= golden.cosine && far <= golden.probability)) wrong.push(`${name}: the file answers otherwise`);
    else if (!(cosine(by.road.embedding, wanted.embedding) >= ROAD)) wrong.push(`${name}: the browser decodes it otherwise`);
  }
  return wrong;
}

function element(name, text, parent) {
  const made = document.createElement(name);
  made.textContent = text;
  parent?.append(made);
  return made;
}

async function show(file) {
  const item = document.createElement("li"), picture = element("img", "", item), said = element("div", "", item);
  picture.src = URL.createObjectURL(file);
  picture.alt = file.name;
  picture.onload = picture.onerror = () => URL.revokeObjectURL(picture.src);
  at("answers").prepend(item);
  try {
    const began = performance.now();
    const answer = await ask(await pixelsOf(file, road));
    const took = performance.now() - began;
    const best = ranked(answer.probabilities).slice(0, TOP);
    const decided = decision(answer, best[0][1]);
    element("h2", decided === "outside" ? "of none of the classes" : best[0][0], said);
    for (const [label, probability] of best) {
      const row = element("div", "", said);
      row.className = "row";
      element("span", label, row);
      element("span", `${(100 * probability).toFixed(1)} %`, row);
      element("meter", "", said).value = probability;
    }
    for (const [column, label, probability] of tagsOf(answer)) {
      const row = element("div", "", said);
      row.className = "row";
      element("span", `${column}: ${label}`, row);
      element("span", `${(100 * probability).toFixed(1)} %`, row);
    }
    element("small", [file.name, decided, `${took.toFixed(0)} ms`].filter(Boolean).join(" · "), said);
    Object.assign(item.dataset, { label: best[0][0], probability: best[0][1], decision: decided, milliseconds: took });
  } catch (error) {
    element("h2", "This is not a picture that the browser can read.", said);
    element("small", file.name, said);
    item.dataset.error = error.message;
  }
}

let queue = Promise.resolve(); // one after another: the session answers one at a time
const showAll = files => [...files].forEach(file => { queue = queue.then(() => show(file)); });

// All that was loaded is kept, so that the page opens without a network too; browsers allow that to safe origins alone.
async function keep() {
  await navigator.serviceWorker?.register("offline.js");
  const loaded = performance.getEntriesByType("resource").map(({ name }) => name);
  const own = loaded.filter(name => name.startsWith(location.origin));
  await (await caches.open("fashion")).addAll(new Set([location.href, ...own]));
}

const wrong = await faults();
const count = Object.keys(golden.pictures).length;
at("title").textContent = `${bundle.model} ${bundle.version}: what is in this picture?`;
at("state").dataset.state = wrong.length ? "wrong" : "ready";
at("state").textContent = wrong.length
  ? `Do not trust the answers: ${wrong.join("; ")}`
  : `${labels.length} classes. All ${count} golden pictures are answered as by the model.`;
for (const id of ["files", "camera"]) {
  at(id).disabled = false;
  at(id).addEventListener("change", ({ target }) => { showAll(target.files); });
}
const drop = at("drop");
addEventListener("dragover", event => { event.preventDefault(); drop.classList.add("over"); });
addEventListener("dragleave", () => drop.classList.remove("over"));
addEventListener("drop", event => { event.preventDefault(); drop.classList.remove("over"); showAll(event.dataTransfer.files); });
addEventListener("paste", event => showAll(event.clipboardData.files));
if (self.isSecureContext) await keep().catch(() => undefined); // a full disk is no reason not to answer
document.documentElement.dataset.kept = "";
