// Pictures to try, one click each: fetched once, and then treated as a chosen file.

import { element, make } from "./dom.js";
import { itemOf } from "./items.js";
import { model } from "./models.js";
import { inTurn } from "./queue.js";
import { ask } from "./server.js";
import { inWords } from "./words.js";

const { api } = document.body.dataset;
let drawn = false; // are those on the page drawings?
let labels = []; // the classes that they are of
let shownFor = null; // the model that those on the page were fetched for, if any are there

/** Show the samples, if there are any and they are not there yet; `take` gets the chosen one's item. */
export async function offerSamples(take) {
  const served = `${model.own?.model} ${model.own?.version}`;
  if (served === shownFor) return;
  const samples = await listSamples();
  shownFor = samples.length ? served : null;
  labels = [...new Set(samples.map((sample) => sample.label))];
  drawn = samples[0]?.kind === "drawn";
  element("samples-kind").textContent = drawn ? "drawn by a program" : "from the test set";
  show();
  element("sample-list").replaceChildren(...groups(samples).map(([label, some]) => group(label, some, take)));
}

/** Samples are of the server's own model: another one is offered them only if it tells the same classes apart. */
function show() {
  const known = model.facts?.classes ?? [];
  element("samples").hidden = labels.length === 0 || !labels.every((label) => known.includes(label));
  element("samples-drawn").hidden = !(drawn && model.isReal);
}

async function listSamples() {
  try {
    const response = await ask("/samples", { quiet: true });
    return (await response.json()).samples;
  } catch (error) {
    console.info("there are no samples:", error.message);
    return [];
  }
}

function groups(samples) {
  return labels.map((label) => [label, samples.filter((sample) => sample.label === label)]);
}

function group(label, samples, take) {
  const buttons = samples.map((sample, index) => sampleButton(sample, index + 1, take));
  const name = make("p", { className: "sample-class", textContent: inWords(label) });
  return make("li", {}, make("div", { className: "sample-pictures" }, ...buttons), name);
}

function sampleButton(sample, number, take) {
  const image = make("img", { alt: "", width: 64, height: 64 });
  const button = make("button", { type: "button", className: "sample" }, image);
  button.setAttribute("aria-label", `${inWords(sample.label)}, sample ${number}`);
  const blob = fetchSample(sample);
  blob.then((data) => {
    image.onload = () => URL.revokeObjectURL(image.src);
    image.src = URL.createObjectURL(data);
  }, () => {
    button.remove();
    shownFor = null; // so that the next look at the server asks for it again
  });
  button.addEventListener("click", async () => {
    const item = itemOf(new File([await blob], `${sample.id}.png`, { type: "image/png" }));
    item.sample = sample;
    take(item);
  });
  return button;
}

async function fetchSample({ url }) {
  // Through the API's own door: an <img> could not send a key.
  const response = await inTurn(() => ask(url.slice(api.length), { quiet: true }));
  return response.blob();
}

model.addEventListener("change", show);
