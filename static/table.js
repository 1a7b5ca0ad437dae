// All images in one table: find, sort, open, download.

import { clone, element, make, say, whenSeen } from "./dom.js";
import { asCsv, asJson, download } from "./exports.js";
import { inShort, open, showThumb } from "./files.js";
import { choice } from "./items.js";
import { wantPicture } from "./pictures.js";
import { counted, inPercent, inWords } from "./words.js";

const STATES = { answer: "Answer", abstained: "Too close to call", refused: "Another kind", problem: "Problem", waiting: "Waiting" };
const body = element("rows");
const find = element("find");
const only = element("only");
const rows = new Map(); // by item
const order = { by: "index", down: false };

const KEYS = {
  index: (item) => choice.items.indexOf(item),
  name: (item) => item.name,
  answer: (item) => inShort(item),
  confidence: (item) => (item.outcome === "answer" ? item.answer.confidence : -1),
  state: (item) => STATES[item.outcome],
};

function renderList({ detail }) {
  rows.clear();
  if (choice.items.length > 1) for (const item of choice.items) rows.set(item, rowFor(item));
  if (detail === "new") {
    Object.assign(order, { by: "index", down: false });
    find.value = "";
    only.value = "";
  }
  for (const item of rows.keys()) renderRow(item);
  renderAll();
}

function rowFor(item) {
  const row = clone("row");
  const button = row.querySelector("button");
  button.textContent = item.name;
  button.addEventListener("click", () => open(item));
  row.querySelector(".row-index").textContent = choice.items.indexOf(item) + 1;
  whenSeen(row, () => wantPicture(item));
  return row;
}

function renderRow(item) {
  const row = rows.get(item);
  if (!row) return;
  row.dataset.outcome = item.outcome;
  row.querySelector(".row-answer").textContent = inShort(item);
  row.querySelector(".row-confidence").textContent = item.outcome === "answer" ? inPercent(item.answer.confidence) : "–";
  row.querySelector(".row-state").textContent = STATES[item.outcome];
  showThumb(row.querySelector("img"), item);
}

function renderAll() {
  renderFilter();
  const shown = [...rows.keys()].filter(isWanted);
  for (const [item, row] of rows) row.hidden = !shown.includes(item);
  const wanted = [...rows.keys()].sort(byOrder).map((item) => rows.get(item));
  // Moving rows would take the focus out of them: only where the order is another.
  if (wanted.some((row, index) => body.children[index] !== row) || body.children.length !== wanted.length) {
    body.replaceChildren(...wanted);
  }
  for (const head of document.querySelectorAll("#table th[data-by]")) {
    if (head.dataset.by === order.by) head.setAttribute("aria-sort", order.down ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  }
  say(element("shown"), shown.length === rows.size ? counted(rows.size, "image") : `${shown.length} of ${counted(rows.size, "image")}`);
  const done = choice.items.every((item) => item.isOver);
  for (const id of ["download-csv", "download-json"]) element(id).disabled = !done;
}

/** Classes and states that there are, to choose from. */
function renderFilter() {
  const items = [...rows.keys()];
  const labels = [...new Set(items.map((item) => item.answer?.label).filter(Boolean))].sort();
  const states = Object.keys(STATES).filter((state) => state !== "answer" && items.some((item) => item.outcome === state));
  const wanted = [["", "All"], ...labels.map((label) => [`label:${label}`, inWords(label)]), ...states.map((state) => [`state:${state}`, STATES[state]])];
  if ([...only.options].map((option) => option.value).join() === wanted.map(([value]) => value).join()) return;
  const kept = only.value;
  only.replaceChildren(...wanted.map(([value, textContent]) => make("option", { value, textContent })));
  only.value = wanted.some(([value]) => value === kept) ? kept : "";
}

function isWanted(item) {
  const text = find.value.trim().toLowerCase();
  const named = text === "" || [item.name, inShort(item)].some((words) => words.toLowerCase().includes(text));
  return named && ["", `label:${item.answer?.label}`, `state:${item.outcome}`].includes(only.value);
}

function byOrder(one, other) {
  const [first, second] = [one, other].map(KEYS[order.by]);
  const difference = typeof first === "number" ? first - second : first.localeCompare(second, undefined, { numeric: true });
  return order.down ? -difference : difference;
}

/** To the row of the image that was looked at last. */
function showOpened() {
  const row = rows.get(choice.selected);
  (row && !row.hidden ? row.querySelector("button") : find).focus();
}

for (const head of document.querySelectorAll("#table th[data-by]")) {
  head.querySelector("button").addEventListener("click", () => {
    Object.assign(order, { by: head.dataset.by, down: order.by === head.dataset.by && !order.down });
    renderAll();
  });
}
document.addEventListener("backtotable", showOpened);
element("show-table").addEventListener("click", () => rows.get(choice.selected)?.scrollIntoView({ block: "nearest" }));
find.addEventListener("input", renderAll);
only.addEventListener("change", renderAll);
element("download-csv").addEventListener("click", () => download("answers.csv", "text/csv", asCsv(choice.items)));
element("download-json").addEventListener("click", () => download("answers.json", "application/json", asJson(choice.items)));
choice.addEventListener("list", renderList);
choice.addEventListener("item", ({ detail }) => {
  renderRow(detail);
  renderAll();
});
