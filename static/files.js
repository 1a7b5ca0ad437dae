// Several images: how far they are, a tab for each, and the choice between one image and the table of all.

import { element, make, say, showIf, whenSeen } from "./dom.js";
import { askAbout } from "./asking.js";
import { choice } from "./items.js";
import { wantPicture } from "./pictures.js";
import { focusOutcome } from "./results.js";
import { counted, inWords, verdict } from "./words.js";

const AS_TABLE_FROM = 9; // images: so many tabs are no overview
const strip = element("strip");
let view = "images"; // or "table"
let chosen = 0; // when the images were: entries of the browser's history are of one choice

function showView(wanted) {
  view = wanted;
  const table = view === "table" && choice.items.length > 1;
  element("bench").hidden = table;
  strip.hidden = table;
  element("table-view").hidden = !table;
  element("show-images").setAttribute("aria-pressed", !table);
  element("show-table").setAttribute("aria-pressed", table);
}

/** Open one image from the table; the browser's way back leads to the table again. */
export function open(item) {
  if (!isEntry("images")) {
    history.replaceState({ view: "table", chosen }, "");
    history.pushState({ view: "images", chosen }, "");
  }
  choice.select(item);
  showView("images");
  element(item.id).focus();
  focusOutcome();
  element("files").scrollIntoView({ block: "start" });
}

/** Is the browser's present entry this view of the images that are chosen now? */
function isEntry(view) {
  return history.state?.view === view && history.state.chosen === chosen;
}

function renderList({ detail }) {
  if (detail === "new") chosen = Date.now();
  const several = choice.items.length > 1;
  const opened = detail === "new" || element("files").hidden;
  element("files").hidden = !several;
  if (opened) showView(choice.items.length >= AS_TABLE_FROM || choice.items[0]?.series ? "table" : "images");
  strip.replaceChildren(...(several ? choice.items.map(tabFor) : []));
  const panel = element("bench");
  if (several) panel.setAttribute("role", "tabpanel");
  else panel.removeAttribute("role");
  choice.items.forEach(renderTab);
  renderProgress();
}

function tabFor(item) {
  const name = make("span", { className: "tab-name", textContent: item.name });
  const outcome = make("span", { className: "tab-outcome" });
  const image = make("img", { alt: "", hidden: true });
  const tab = make("button", { type: "button", id: item.id, className: "tab" }, make("span", { className: "thumb" }, image), name, outcome);
  tab.setAttribute("role", "tab");
  tab.setAttribute("aria-controls", "bench");
  tab.addEventListener("click", () => choice.select(item));
  whenSeen(tab, () => wantPicture(item));
  return tab;
}

function renderTab(item) {
  const tab = element(item.id);
  if (!tab) return;
  tab.dataset.outcome = item.outcome;
  say(tab.querySelector(".tab-outcome"), inShort(item));
  showThumb(tab.querySelector("img"), item);
}

/** Put an item's picture into a small image. */
export function showThumb(image, item) {
  image.hidden = !item.picture;
  if (item.picture && image.getAttribute("src") !== item.picture.url) image.src = item.picture.url;
}

/** A few words on where an item stands. */
export function inShort(item) {
  if (item.failure) return item.failure.title;
  if (!item.answer) return item.note || "Waiting";
  if (item.answer.state === "answer") return inWords(item.answer.label);
  return item.answer.state === "refused" ? "Another kind of image" : verdict(item.answer).heading;
}

function renderSelected() {
  for (const tab of strip.children) {
    const selected = tab.id === choice.selected?.id;
    tab.setAttribute("aria-selected", selected);
    tab.tabIndex = selected ? 0 : -1;
    if (selected) {
      element("bench").setAttribute("aria-labelledby", tab.id);
      strip.scrollTo({ left: tab.offsetLeft - strip.clientWidth / 2 + tab.clientWidth / 2 });
    }
  }
}

function renderProgress() {
  const all = choice.items.length;
  const over = choice.items.filter((item) => item.isOver).length;
  const failed = choice.items.filter((item) => item.state === "failed").length;
  const bar = element("progress");
  bar.max = all;
  bar.value = over;
  bar.hidden = over === all;
  const problems = failed ? `, ${counted(failed, "problem")}` : "";
  const again = choice.items.filter(canBeAskedAgain).length;
  showIf("retry", again > 0 && over === all, `Try ${again === 1 ? "it" : `the ${again}`} again`);
  say(element("progress-text"), over < all ? `${over} of ${all} done${problems}` : `${counted(all, "image")}${problems}`);
}

/** Did asking fail for a reason that may be gone by now? */
function canBeAskedAgain(item) {
  return item.state === "failed" && item.failure.canRetry && Boolean(item.bytes || item.files);
}

function steered(event) {
  const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, Home: -Infinity, End: Infinity };
  if (!(event.key in steps)) return;
  event.preventDefault();
  const last = choice.items.length - 1;
  const wanted = choice.items.indexOf(choice.selected) + steps[event.key];
  const item = choice.items[Math.min(last, Math.max(0, wanted))];
  choice.select(item);
  element(item.id).focus();
}

strip.addEventListener("keydown", steered);
element("retry").addEventListener("click", () => {
  element("progress-text").focus(); // the button goes
  for (const item of choice.items.filter(canBeAskedAgain)) askAbout(item);
});
window.addEventListener("popstate", () => {
  const wanted = ["images", "table"].find(isEntry);
  if (!wanted || wanted === view) return;
  showView(wanted);
  if (wanted === "table") document.dispatchEvent(new Event("backtotable"));
});
element("show-images").addEventListener("click", () => showView("images"));
element("show-table").addEventListener("click", () => {
  if (isEntry("images")) history.back();
  else showView("table");
});
choice.addEventListener("list", renderList);
choice.addEventListener("selected", renderSelected);
choice.addEventListener("item", ({ detail }) => {
  renderTab(detail);
  renderProgress();
});
