// The dark half: the selected picture with its caption.

import { element, showIf } from "./dom.js";
import { choice } from "./items.js";
import { model } from "./models.js";
import { wantPicture } from "./pictures.js";
import { inBytes, inHundredths, inWords } from "./words.js";

function render() {
  const item = choice.selected;
  element("start").hidden = item !== null;
  element("preview").hidden = item === null;
  if (item === null) return;
  if (item.picture === null) wantPicture(item);
  showPicture(item);
  element("caption").textContent = caption(item);
  showIf("truth", item.sample !== null, item.sample ? truthOf(item) : "");
}

function showPicture({ picture, kind, bytes }) {
  const plate = element("plate");
  plate.hidden = !picture;
  element("no-preview").hidden = picture !== false && kind !== "archive";
  element("no-preview").textContent = whyNot(kind, bytes);
  const image = element("picture");
  if (!picture) image.removeAttribute("src");
  else if (image.getAttribute("src") !== picture.url) {
    image.src = picture.url;
    plate.style.setProperty("--ratio", picture.width / picture.height);
  }
}

function whyNot(kind, bytes) {
  if (kind === "archive") return "An archive: its images follow.";
  if (kind === "series") return "Several DICOM files: their pictures follow.";
  return bytes ? "This file cannot be shown." : "The picture of this file in the archive cannot be shown.";
}

function caption({ name, size, answer }) {
  const parts = [name];
  if (size) parts.push(inBytes(size));
  if (answer) parts.push(...measures(answer.picture));
  return parts.join(" · ");
}

function measures({ width, height, dicom }) {
  const size = `${width} × ${height} pixels`;
  if (!dicom) return [size];
  const frame = dicom.frames > 1 ? [`frame ${dicom.frame + 1} of ${dicom.frames}`] : [];
  const unit = dicom.hounsfield ? " HU" : "";
  const range = dicom.window ? [`window ${inRange(dicom.window)}${unit}`] : [];
  return [size, "DICOM", ...frame, ...range];
}

function inRange({ center, width }) {
  return `${inHundredths(center)} / ${inHundredths(width)}`;
}

/** What a sample is known to be, as a caption; a drawing has no true class for a model of real scans. */
function truthOf({ sample: { label, kind }, answer }) {
  const drawn = kind === "drawn";
  if (drawn && (answer ? !answer.synthetic : model.isReal)) return "Sample: a drawing, made by a program.";
  return `Sample: ${drawn ? "a drawn picture" : "a picture of the test set"}. Its true class: ${inWords(label).toLowerCase()}.`;
}

choice.addEventListener("selected", render);
choice.addEventListener("item", ({ detail }) => {
  if (detail === choice.selected) render();
});
