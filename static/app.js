// The page: choose a picture, see it, ask POST /predict, show the answer or what went wrong.
// All text from the server or a file's name goes in through textContent, never as HTML.

const MEGABYTE = 2 ** 20;
const PANELS = ["waiting", "no-model", "busy", "result", "error"];
const { maxUploadMb, predictUrl, readyUrl } = document.body.dataset;

const element = (id) => document.getElementById(id);

let chosen = null; // the file on the screen
let pending = null; // the AbortController of the request under way

// --- words ---------------------------------------------------------------------------------

function inWords(label) {
  const words = label.replaceAll("_", " ").trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

function plain(text) {
  return text.replaceAll("_", " ");
}

function either(labels) {
  const words = labels.map(plain);
  return [words.slice(0, -1).join(", "), words.at(-1)].filter(Boolean).join(" or ");
}

function inPercent(share) {
  const percent = 100 * share;
  if (percent > 0 && percent < 0.05) return "< 0.1 %";
  if (percent < 100 && percent >= 99.95) return "> 99.9 %";
  return `${percent.toFixed(1)} %`;
}

function inBytes(bytes) {
  return bytes < MEGABYTE ? `${Math.max(1, Math.round(bytes / 1024))} kB` : `${(bytes / MEGABYTE).toFixed(1)} MB`;
}

// --- panels --------------------------------------------------------------------------------

function show(panel) {
  for (const id of PANELS) element(id).hidden = id !== panel;
  element("actions").hidden = panel !== "result" && panel !== "error";
}

function shown() {
  return PANELS.find((id) => !element(id).hidden);
}

function showBusy(text) {
  element("busy-text").textContent = text;
  show("busy");
}

function showError({ title, detail, canRetry = false }) {
  element("error-title").textContent = title;
  element("error-detail").textContent = detail;
  element("again").hidden = !canRetry;
  show("error");
  (canRetry ? element("again") : element("another")).focus();
}

// What each state of an answer is called, says and advises.
const STATES = {
  answer: ({ label }) => ({ eyebrow: "Answer", heading: inWords(label) }),
  abstained: ({ prediction_set }) => ({
    eyebrow: "No answer: too close to call",
    heading: `Could be ${either(prediction_set)}`,
    advice: "A person should look at this image.",
  }),
  refused: () => ({
    eyebrow: "No answer: another kind of image",
    heading: "This does not look like the images this model knows",
    advice: "What it would say of such an image means nothing, so it says nothing. Is this the right file?",
  }),
};

function showVerdict(answer) {
  const { eyebrow, heading, advice = "" } = STATES[answer.state](answer);
  const others = answer.prediction_set.filter((label) => label !== answer.label);
  element("verdict").dataset.state = answer.state;
  element("eyebrow").textContent = eyebrow;
  element("label").textContent = heading;
  showIf("result-advice", advice !== "", advice);
  showIf("also", answer.state === "answer" && others.length > 0, `Could also be ${either(others)}.`);
  element("confidence").textContent = inPercent(answer.confidence);
  element("result-confidence").hidden = answer.state !== "answer";
  element("bars").hidden = answer.state === "refused";
  element("changes").replaceChildren(...answer.changes.map(changeRow));
  element("changes").hidden = answer.changes.length === 0;
}

function showIf(id, wanted, text) {
  element(id).hidden = !wanted;
  element(id).textContent = wanted ? text : "";
}

function changeRow(change) {
  const row = document.createElement("li");
  row.textContent = sentence(plain(change));
  return row;
}

function showResult(answer) {
  showVerdict(answer);
  element("bars").replaceChildren(...ranked(answer.probabilities).map((entry) => bar(entry, answer.label)));
  element("result-model").textContent = answer.model;
  element("result-version").textContent = answer.version;
  element("result-synthetic").hidden = !answer.synthetic;
  element("result-disclaimer").textContent = answer.disclaimer;
  element("again").hidden = true;
  show("result");
  element("label").focus(); // the control that had the focus is gone; a screen reader reads the class
}

function ranked(probabilities) {
  return Object.entries(probabilities).sort(([, one], [, other]) => other - one);
}

function bar([label, probability], answered) {
  const row = element("bar").content.firstElementChild.cloneNode(true);
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

// --- the picture ---------------------------------------------------------------------------

function showPreview(file) {
  const picture = element("picture");
  URL.revokeObjectURL(picture.src);
  picture.hidden = false;
  element("no-preview").hidden = true;
  element("caption").textContent = `${file.name} · ${inBytes(file.size)}`;
  picture.src = URL.createObjectURL(file);
  element("drop").hidden = true;
  element("preview").hidden = false;
}

function showNoPreview() {
  element("picture").hidden = true;
  element("no-preview").hidden = false;
}

function startOver() {
  pending?.abort();
  chosen = null;
  element("picker").value = ""; // so that the same file can be chosen again
  element("preview").hidden = true;
  element("drop").hidden = false;
  show("waiting");
  element("picker").focus();
  followModel();
}

function choose(files) {
  if (files.length === 0) return;
  pending?.abort();
  if (files.length > 1) {
    showError({ title: "One image at a time", detail: `You dropped ${files.length} files. Drop one.` });
    return;
  }
  [chosen] = files;
  showPreview(chosen);
  const problem = obviousProblem(chosen);
  if (problem) showError(problem);
  else predict(chosen);
}

function obviousProblem(file) {
  if (file.size === 0) return { title: "This file is empty", detail: `${file.name} has no content.` };
  if (file.size > maxUploadMb * MEGABYTE) {
    const detail = `${file.name} has ${inBytes(file.size)}; this server accepts up to ${maxUploadMb} MB.`;
    return { title: "This file is too large", detail };
  }
  return null;
}

// --- the server ----------------------------------------------------------------------------

async function predict(file) {
  showBusy("Classifying…");
  pending = new AbortController();
  const { signal } = pending;
  try {
    const body = new FormData();
    body.append("image", file);
    const response = await fetch(predictUrl, { method: "POST", body, signal });
    if (response.ok) showResult(await response.json());
    else await explain(await readProblem(response), file, signal);
  } catch (error) {
    if (!signal.aborted) showError(unreachable(error));
  }
}

async function explain(problem, file, signal) {
  if (problem.type === "urn:cnnclassifier:problem:model-loading") {
    showBusy("Loading the model…");
    await pause(1000);
    if (!signal.aborted) await predict(file);
  } else {
    const detail = [problem.detail, problem.advice ?? ""].map(sentence).join(" ");
    showError({ title: problem.title, detail, canRetry: problem.status >= 500 });
  }
}

async function readProblem(response) {
  try {
    return await response.json();
  } catch {
    return { title: "The server refused", status: response.status, detail: `It answered ${response.status}.` };
  }
}

function unreachable(error) {
  console.error(error);
  return { title: "The server does not answer", detail: "Is it still running?", canRetry: true };
}

function sentence(text) {
  const words = text.replaceAll("`", "").trim();
  if (words === "") return "";
  return words.charAt(0).toUpperCase() + words.slice(1) + (words.endsWith(".") ? "" : ".");
}

function pause(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

// --- the model -----------------------------------------------------------------------------

let following = false;

async function followModel() {
  if (following) return;
  following = true;
  while (!(await modelIsReady())) await pause(2000);
  following = false;
}

async function modelIsReady() {
  try {
    const response = await fetch(readyUrl);
    if (response.ok) showModel(await response.json());
    else showNoModel(await readProblem(response));
    return response.ok;
  } catch {
    showStatus("missing", "The server does not answer");
    return false;
  }
}

function showStatus(state, text) {
  const status = element("model");
  status.dataset.state = state;
  if (status.textContent !== text) status.textContent = text; // a screen reader reads every change
}

function showModel(model) {
  showStatus("ready", `${model.model} · version ${model.version}`);
  element("model-card").hidden = !model.model_card;
  element("synthetic").hidden = !model.synthetic;
  if (model.description) element("description").textContent = model.description;
  element("classes").replaceChildren(...model.classes.map(classRow));
  element("known").hidden = false;
  if (shown() === "no-model") show("waiting");
}

function classRow(label) {
  const row = element("class").content.firstElementChild.cloneNode(true);
  row.querySelector(".bar-name").textContent = inWords(label);
  return row;
}

function showNoModel(problem) {
  const loading = problem.type === "urn:cnnclassifier:problem:model-loading";
  showStatus(loading ? "loading" : "missing", loading ? "Loading the model…" : "No model");
  if (loading) return;
  element("no-model-advice").hidden = !problem.advice;
  element("no-model-reason").textContent = sentence(problem.detail);
  if (shown() === "waiting") show("no-model");
}

// --- events --------------------------------------------------------------------------------

element("picker").addEventListener("change", (event) => choose(event.target.files));
element("picture").addEventListener("error", showNoPreview);
element("another").addEventListener("click", startOver);
element("again").addEventListener("click", () => predict(chosen));

// A drop counts anywhere on the page: beside the box it would make the browser leave the page.
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dragging");
});
document.addEventListener("dragleave", (event) => {
  if (event.relatedTarget === null) document.body.classList.remove("dragging");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dragging");
  choose(event.dataTransfer.files);
});

element("example").textContent = `curl -F image=@scan.png ${new URL(predictUrl, location)}`;
followModel();
