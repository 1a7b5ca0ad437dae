// How a DICOM file is looked at: its window and its frame. Another look is another picture and another answer.

import { askAbout } from "./asking.js";
import { debounced, element, say } from "./dom.js";
import { choice } from "./items.js";
import { renewPicture } from "./pictures.js";
import { inHundredths } from "./words.js";

const PRESETS = { lung: [-600, 1500], mediastinum: [40, 400], bone: [400, 1800] };
const OWN = "own";
const LEAST_WIDTH = 1;
const FARTHEST = 2 ** 24; // from 0, as far as the API goes
const center = element("window-center");
const width = element("window-width");
const frame = element("frame");
const moved = new Set(); // items that are looked at another way than was last asked about

function render() {
  const item = choice.selected;
  const dicom = item?.dicom; // also where the last look was not answered: another one is the way back
  element("dicom").hidden = !dicom || !item.bytes;
  if (!dicom) return;
  element("window-tools").hidden = dicom.window === null;
  element("presets").hidden = !dicom.hounsfield;
  if (dicom.window) showWindow(item, dicom);
  element("frames").hidden = dicom.frames < 2;
  frame.max = dicom.frames;
  if (document.activeElement !== frame) frame.value = dicom.frame + 1;
  tellValues(dicom.frames);
}

function showWindow(item, dicom) {
  const { window_center, window_width } = item.look;
  const shown = window_center === null ? [dicom.window.center, dicom.window.width] : [window_center, window_width];
  stretch(shown, dicom.hounsfield);
  // The slider under the reader's hand is ahead of the answer.
  if (document.activeElement !== center) center.value = shown[0];
  if (document.activeElement !== width) width.value = shown[1];
  const preset = window_center === null ? OWN : Object.keys(PRESETS).find((name) => String(PRESETS[name]) === String(shown));
  for (const button of presetButtons()) button.setAttribute("aria-pressed", button.value === preset);
  element("window-unit").textContent = dicom.hounsfield ? "in Hounsfield units" : "in the file's own values";
}

/** Let the sliders reach what CT needs, and what the file has, and no farther than the server follows. */
function stretch([middle, spread], hounsfield) {
  center.min = Math.floor(Math.max(-FARTHEST, Math.min(hounsfield ? -1000 : 0, middle, Number(center.min))));
  center.max = Math.ceil(Math.min(FARTHEST, Math.max(1000, middle, middle + spread, Number(center.max))));
  width.max = Math.ceil(Math.min(2 * FARTHEST, Math.max(3000, 2 * spread, Number(width.max))));
}

function tellValues(frames) {
  say(element("center-value"), inHundredths(center.value));
  say(element("width-value"), inHundredths(width.value));
  say(element("frame-value"), `${frame.value} of ${frames}`);
}

function presetButtons() {
  return element("dicom").querySelectorAll("button[value]");
}

/** Look at the selected image another way: at once, or when the reader's hand has rested for a moment. */
function look(change, { soon = false } = {}) {
  const item = choice.selected;
  if (!item) return;
  Object.assign(item.look, change);
  moved.add(item);
  if (soon) askSoon();
  else askNow();
}

/** Ask about all that are looked at another way, also where the reader has gone on to another image meanwhile. */
function askNow() {
  for (const item of moved) {
    if (!choice.items.includes(item)) continue;
    askAbout(item);
    renewPicture(item, item.controller?.signal);
  }
  moved.clear();
}

const askSoon = debounced(250, askNow);

function windowMoved({ target }) {
  target.value = Math.round(target.value); // not the other one: its fraction is the file's
  for (const button of presetButtons()) button.setAttribute("aria-pressed", false);
  tellValues(frame.max);
  look({ window_center: Number(center.value), window_width: Math.max(LEAST_WIDTH, Number(width.value)) }, { soon: true });
}

center.addEventListener("input", windowMoved);
width.addEventListener("input", windowMoved);
frame.addEventListener("input", () => {
  tellValues(frame.max);
  look({ frame: Number(frame.value) - 1 }, { soon: true });
});
element("dicom").addEventListener("click", ({ target }) => {
  if (!(target instanceof HTMLButtonElement)) return;
  const [window_center, window_width] = PRESETS[target.value] ?? [null, null];
  look({ window_center, window_width });
});

choice.addEventListener("selected", render);
choice.addEventListener("item", ({ detail }) => {
  if (detail === choice.selected) render();
});
