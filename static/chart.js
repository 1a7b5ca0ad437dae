// A series: each class's probability by slice, as lines, and the same numbers as a table.

import { element, make } from "./dom.js";
import { open } from "./files.js";
import { choice } from "./items.js";
import { inPercent, inWords } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
const [HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [230, 48, 8, 10, 26];
const chart = element("chart");
let width = 720; // as wide as it is shown, so that its words keep their size

function render() {
  const items = choice.items;
  const isSeries = items.length > 1 && items.every((item) => item.series);
  element("series").hidden = !isSeries;
  if (!isSeries) return;
  width = chart.clientWidth || width;
  chart.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
  const classes = Object.keys(items.find((item) => item.answer)?.answer.probabilities ?? {});
  chart.replaceChildren(...axes(items.length), ...classes.map((label, index) => line(items, label, index)));
  chart.setAttribute("aria-label", inOneSentence(items));
  element("legend").replaceChildren(...classes.map(legendEntry));
  renderNumbers(items, classes);
}

function axes(count) {
  const shares = [0, 0.5, 1].flatMap((share) => [
    draw("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y(share), y2: y(share) }),
    text(`${100 * share} %`, { x: LEFT - 6, y: y(share) + 4, "text-anchor": "end" }),
  ]);
  const numbers = ticks(count).map((slice) => text(slice, { x: x(slice - 1, count), y: HEIGHT - 6, "text-anchor": "middle" }));
  return [...shares, text("Slice", { x: LEFT - 6, y: HEIGHT - 6, "text-anchor": "end" }), ...numbers];
}

function ticks(count) {
  const step = Math.max(1, Math.ceil((count * 36) / (width - LEFT - RIGHT)));
  return Array.from({ length: Math.ceil(count / step) }, (_, index) => 1 + index * step);
}

/** One class's line, broken where a slice has no probabilities. */
function line(items, label, index) {
  let path = "";
  let drawing = false;
  const dots = [];
  items.forEach(({ answer }, slice) => {
    if (!answer || answer.state === "refused") {
      drawing = false;
      return;
    }
    const [across, down] = [x(slice, items.length), y(answer.probabilities[label])];
    path += `${drawing ? "L" : "M"}${across.toFixed(1)} ${down.toFixed(1)}`;
    dots.push(draw("circle", { cx: across, cy: down, r: items.length > 60 ? 1 : 2.5 }));
    drawing = true;
  });
  const group = draw("g", { class: `curve curve-${index % 6}` });
  group.append(draw("path", { d: path }), ...dots);
  return group;
}

function legendEntry(label, index) {
  return make("li", {}, make("span", { className: `swatch swatch-${index % 6}` }), inWords(label));
}

function inOneSentence(items) {
  const answered = items.filter((item) => item.outcome === "answer");
  const labels = [...new Set(answered.map((item) => item.answer.label))];
  const counts = labels.map((label) => `${inWords(label)} in ${answered.filter((item) => item.answer.label === label).length}`);
  return `Probability of each class in ${items.length} slices. Answered: ${counts.join(", ") || "none"}. The numbers are in the table below.`;
}

function renderNumbers(items, classes) {
  const head = make("tr", {}, ...["Slice", ...classes.map(inWords)].map((textContent) => make("th", { scope: "col", textContent })));
  const lines = items.map(({ answer }, index) => {
    const shares = classes.map((label) => (answer && answer.state !== "refused" ? inPercent(answer.probabilities[label]) : "–"));
    const first = make("th", { scope: "row", textContent: index + 1 });
    return make("tr", {}, first, ...shares.map((textContent) => make("td", { textContent })));
  });
  element("numbers").replaceChildren(make("thead", {}, head), make("tbody", {}, ...lines));
}

function x(slice, count) {
  return LEFT + ((width - LEFT - RIGHT) * (slice + 0.5)) / count;
}

function y(share) {
  return TOP + (HEIGHT - TOP - BOTTOM) * (1 - share);
}

function draw(tag, attributes) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

function text(words, attributes) {
  const node = draw("text", attributes);
  node.textContent = words;
  return node;
}

/** A click opens the slice under it; with the keyboard, the table of images does. */
chart.addEventListener("click", ({ clientX }) => {
  const box = chart.getBoundingClientRect();
  const across = ((clientX - box.left) / box.width) * width;
  const slice = Math.floor(((across - LEFT) / (width - LEFT - RIGHT)) * choice.items.length);
  const item = choice.items[Math.min(choice.items.length - 1, Math.max(0, slice))];
  if (item) open(item);
});
choice.addEventListener("list", render);
choice.addEventListener("item", render);
new ResizeObserver(() => {
  if (chart.clientWidth && chart.clientWidth !== width) render();
}).observe(chart);
