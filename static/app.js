// The page: choose images, see them, ask the server, show each answer or what went wrong.
// All text from the server or a file's name goes in through textContent, never as HTML.

import { askAbout, asSeries, whyNoSeries } from "./asking.js";
import "./chart.js";
import "./dicom.js";
import { element, showIf } from "./dom.js";
import "./feedback.js";
import "./files.js";
import "./heatmap.js";
import { choice, itemOf } from "./items.js";
import { followModel, model } from "./models.js";
import { findKind } from "./pictures.js";
import "./results.js";
import { offerSamples } from "./samples.js";
import "./table.js";
import "./viewer.js";

async function choose(files) {
  if (files.length > 0 && !model.isUnknown) await take([...files].map(itemOf));
}

async function take(items) {
  await Promise.all(items.map(findKind));
  const wholes = asSeries(items);
  choice.replace(wholes);
  const why = whyNoSeries(items);
  showIf("no-series", why !== "", why);
  if (wholes.length > 1) element("progress-text").focus(); // what had the focus is gone
  for (const item of wholes) askAbout(item);
}

function startOver() {
  choice.replace([]);
  element("picker").focus();
  followModel();
}

function showExample() {
  const address = new URL(`${document.body.dataset.api}/predict`, location);
  const other = model.asked !== null && !model.isUnknown;
  if (other) address.searchParams.set("model", model.asked);
  element("example").textContent = `curl -F image=@scan.png ${other ? `'${address}'` : address}`; // a shell reads ? as a pattern
}

function askAgain() {
  for (const item of choice.items) {
    if (!item.bytes && !item.files) continue; // a file of an archive that cannot be had from it: its answer stays
    item.clear();
    askAbout(item);
  }
}

function dropped(event) {
  event.preventDefault();
  document.body.classList.remove("dragging");
  choose(event.dataTransfer.files);
}

for (const id of ["picker", "camera"]) {
  element(id).addEventListener("change", ({ target }) => {
    choose(target.files);
    target.value = ""; // so that the same file can be chosen again, also after the way back to this page
  });
}
for (const id of ["another", "clear"]) element(id).addEventListener("click", startOver);

// A drop counts anywhere on the page: beside the box it would make the browser leave the page.
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dragging");
});
document.addEventListener("dragleave", (event) => {
  if (event.relatedTarget === null) document.body.classList.remove("dragging");
});
document.addEventListener("drop", dropped);
document.addEventListener("paste", ({ clipboardData }) => choose(clipboardData?.files ?? []));

window.addEventListener("beforeunload", (event) => {
  if (choice.items.length > 1) event.preventDefault(); // answers are not kept: the browser asks first
});

model.addEventListener("switched", askAgain);
model.addEventListener("change", showExample);
// There are none before there is a model, and none without the key where one is wanted.
model.addEventListener("ready", () => offerSamples((item) => take([item])));
document.addEventListener("keygiven", () => offerSamples((item) => take([item])));

showExample();
followModel();
