// Where a class shows: a transparent map over the picture, in the picture's own geometry.

import { queryOf } from "./asking.js";
import { element, make, showIf } from "./dom.js";
import { choice } from "./items.js";
import { askAnew } from "./key.js";
import { model } from "./models.js";
import { inTurn } from "./queue.js";
import { ask, formOf, Refusal } from "./server.js";
import { inWords } from "./words.js";

const button = element("where");
const opacity = element("opacity");
const which = element("where-class");
const where = { on: false, label: null }; // label: what the reader chose, null for the answer's

function render() {
  const item = choice.selected;
  const answered = item?.answer && item.state !== "failed" && item.answer.state !== "refused"; // of a refused image, maps mean nothing
  const usable = answered && item.bytes && model.explains !== false;
  button.hidden = !usable;
  const on = Boolean(usable) && where.on;
  button.setAttribute("aria-pressed", on);
  element("where-tools").hidden = !on;
  const drawn = on && item.maps !== null && !item.maps.failure && Boolean(item.picture);
  for (const id of ["overlay", "peak", "seen", "where-controls", "overlaid"]) element(id).hidden = !drawn;
  showIf("where-state", on && !drawn, item?.maps?.failure ?? "Looking where…");
  if (drawn) draw(item);
  else if (on && item.maps === null && item.state === "done") fetchMaps(item);
}

async function fetchMaps(item) {
  const { answer, controller } = item;
  item.maps = {}; // asked for: not twice
  item.maps.failure = "Looking where…";
  try {
    const options = { query: queryOf(item), body: await formOf([item]), signal: controller?.signal };
    const response = await inTurn(() => ask("/explain", options), () => true);
    const { maps } = await response.json();
    if (item.answer === answer) item.maps = maps;
  } catch (error) {
    if (controller?.signal.aborted) return;
    if (!(error instanceof Refusal)) throw error;
    item.maps = { failure: [error.told.title, error.told.detail].join(". ") };
  }
  choice.changed(item);
}

function draw(item) {
  const label = labelFor(item);
  offer(Object.keys(item.maps), label);
  const { overlay, peak } = item.maps[label];
  const image = element("overlay");
  if (image.getAttribute("src") !== overlay) image.src = overlay;
  image.alt = `Where ${inWords(label).toLowerCase()} shows${peak ? "" : ": nowhere"}`;
  image.style.opacity = opacity.value / 100;
  element("opacity-value").textContent = `${opacity.value} %`;
  placePeak(peak, item.answer.picture);
  placeSeen(item.answer.picture);
  const circle = element("peak").hidden ? "" : "; the circle is the peak";
  element("overlaid").textContent = `Overlaid: where ${inWords(label).toLowerCase()} shows to the model${circle}.`;
  showIf("where-nothing", peak === null, `Nothing in this picture speaks for ${inWords(label).toLowerCase()}.`);
}

function labelFor({ answer, maps }) {
  if (where.label in maps) return where.label;
  return answer.label ?? answer.prediction_set[0] ?? Object.keys(maps)[0];
}

function offer(labels, chosen) {
  const there = [...which.options].map((option) => option.value);
  if (there.join() !== labels.join()) {
    which.replaceChildren(...labels.map((label) => make("option", { value: label, textContent: inWords(label) })));
  }
  which.value = chosen;
}

function placePeak(peak, { width, height }) {
  const mark = element("peak");
  mark.hidden = peak === null || !element("peak-wanted").checked;
  if (peak === null) return;
  mark.style.top = inShare(peak[0] + 0.5, height);
  mark.style.left = inShare(peak[1] + 0.5, width);
}

function placeSeen({ width, height, seen: [top, bottom, left, right] }) {
  const frame = element("seen");
  frame.style.top = inShare(top, height);
  frame.style.bottom = inShare(height - bottom, height);
  frame.style.left = inShare(left, width);
  frame.style.right = inShare(width - right, width);
  const whole = top === 0 && left === 0 && bottom === height && right === width;
  frame.hidden = whole;
  element("seen-said").hidden = whole;
}

function inShare(part, whole) {
  return `${(100 * part) / whole}%`;
}

button.addEventListener("click", () => {
  askAnew();
  where.on = !where.on;
  if (choice.selected?.maps?.failure) choice.selected.maps = null; // another press is another try
  render();
});
opacity.addEventListener("input", render);
element("peak-wanted").addEventListener("change", render);
which.addEventListener("change", () => {
  where.label = which.value;
  render();
});

choice.addEventListener("list", () => {
  where.label = null;
});
choice.addEventListener("selected", render);
choice.addEventListener("item", ({ detail }) => {
  if (detail === choice.selected) render();
});
model.addEventListener("change", render);
