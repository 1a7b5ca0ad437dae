// The light half: the selected image's answer, or what went wrong, or what is being waited for.

import { askAbout } from "./asking.js";
import { clone, element, make, say, showIf, showOne } from "./dom.js";
import { choice } from "./items.js";
import { model } from "./models.js";
import { alternatives, inPercent, inTime, inWords, plain, sentence, verdict } from "./words.js";

const PANELS = ["waiting", "no-model", "busy", "result", "error"];
let focused = null; // the item whose first outcome already took the focus
let awaited = null; // the item that was on the screen without its answer

function render() {
  const item = choice.selected;
  const panel = panelOf(item);
  showOne(PANELS, panel);
  const stops = panel === "busy" && choice.items.length === 1; // of several, *Start over* is above
  element("actions").hidden = panel !== "result" && panel !== "error" && !stops;
  element("another").textContent = stops ? "Stop" : "Try another image";
  element("print").hidden = panel !== "result";
  element("again").hidden = !(panel === "error" && item.failure.canRetry);
  element("result").setAttribute("aria-busy", item?.state === "again");
  if (panel === "busy") say(element("busy-text"), item.note || "Waiting for its turn…");
  if (panel === "result") showResult(item);
  if (panel === "error") showError(item.failure);
  announce(item);
}

function panelOf(item) {
  if (item === null) return model.missing ? "no-model" : "waiting";
  if (item.state === "failed") return "error";
  return item.answer ? "result" : "busy";
}

/** A single image's outcome takes the focus, as the control that had it is gone; what comes later is only said. */
function announce(item) {
  if (!item?.isOver) {
    awaited = item;
    return;
  }
  if (choice.items.length === 1 && focused !== item) focusOutcome();
  else if (item.state === "done" && awaited === item) say(element("announcement"), inShort(item.answer));
  focused = item;
  awaited = null;
}

/** Put the focus on the outcome, if there is one: the answer's heading, else the button that helps. */
export function focusOutcome() {
  const panel = PANELS.find((id) => !element(id).hidden);
  if (panel === "result") element("label").focus();
  else if (panel === "error") element(element("again").hidden ? "another" : "again").focus();
}

function inShort(answer) {
  const { heading } = verdict(answer);
  return answer.state === "answer" ? `${heading}, ${inPercent(answer.confidence)}` : heading;
}

function showResult({ answer, sample }) {
  showVerdict(answer);
  element("result-drawn").hidden = answer.synthetic || sample?.kind !== "drawn";
  element("bars").replaceChildren(...ranked(answer.probabilities).map((entry) => bar(entry, answer.label)));
  element("bars").hidden = answer.state === "refused";
  element("changes").replaceChildren(...answer.changes.map(changeRow));
  element("changes").hidden = answer.changes.length === 0;
  element("result-model").textContent = answer.model;
  element("result-version").textContent = answer.version;
  element("result-date").textContent = inTime(answer.answered_at);
  element("result-date").dateTime = answer.answered_at;
  element("result-request").textContent = answer.request_id;
  element("result-card").hidden = model.card === null;
  if (model.card !== null) element("result-card-link").href = model.card;
  element("result-synthetic").hidden = !answer.synthetic;
  element("result-disclaimer").textContent = answer.disclaimer;
}

function showVerdict(answer) {
  const { eyebrow, heading, advice } = verdict(answer);
  const also = alternatives(answer);
  element("verdict").dataset.state = answer.state;
  element("eyebrow").textContent = eyebrow;
  say(element("label"), heading);
  showIf("result-advice", advice !== "", advice);
  showIf("also", also !== "", also);
  element("confidence").textContent = inPercent(answer.confidence);
  element("result-confidence").hidden = answer.state !== "answer";
}

function ranked(probabilities) {
  return Object.entries(probabilities).sort(([, one], [, other]) => other - one);
}

function bar([label, probability], answered) {
  const row = clone("bar");
  row.classList.toggle("answered", label === answered);
  const meter = row.querySelector("[role=meter]");
  row.querySelector(".bar-name").textContent = inWords(label);
  row.querySelector(".bar-value").textContent = inPercent(probability);
  meter.setAttribute("aria-label", inWords(label));
  meter.setAttribute("aria-valuenow", (100 * probability).toFixed(1));
  meter.setAttribute("aria-valuetext", inPercent(probability));
  meter.firstElementChild.style.width = `${100 * probability}%`;
  return row;
}

function changeRow(change) {
  return make("li", { textContent: sentence(plain(change)) });
}

function showError({ title, detail, requestId }) {
  say(element("error-title"), title);
  say(element("error-detail"), detail);
  showIf("error-request", requestId !== null, `Request ${requestId}`);
}

element("again").addEventListener("click", () => {
  focused = null; // the button goes: the outcome takes the focus again
  askAbout(choice.selected);
});
element("print").addEventListener("click", () => window.print());

choice.addEventListener("selected", render);
choice.addEventListener("item", ({ detail }) => {
  if (detail === choice.selected) render();
});
model.addEventListener("change", render);
