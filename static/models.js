// Which model is asked: the one the server was started for, or another by ?model= in the page's address.

import { clone, element, make, say } from "./dom.js";
import { askAnew, headers } from "./key.js";
import { ask, pause, readProblem, Refusal } from "./server.js";
import { inWords, sentence } from "./words.js";

const LOADING = "urn:cnnclassifier:problem:model-loading";
const LOOK_AGAIN = 2; // seconds
const LOOK_AT_NOTICE = 5; // seconds
const { readyUrl, cardUrl } = document.body.dataset;
const select = element("models");

class Model extends EventTarget {
  asked = new URLSearchParams(location.search).get("model"); // null: the server's own
  own = null; // what /ready says of the server's own
  others = new Map(); // what /api/v1/models says, by name
  missing = false; // is there no model to ask?
  trouble = null; // the problem document instead of a description of the model that is asked

  get info() {
    return this.others.get(this.asked ?? this.own?.model) ?? null;
  }

  /** Is there no model of the name in the address? */
  get isUnknown() {
    return [404, 422].includes(this.trouble?.status);
  }

  /** What is known of the model that is asked; null if nothing. */
  get facts() {
    return this.asked === null || this.asked === this.own?.model ? this.own : this.info;
  }

  /** Did it learn from photographs and scans, and not from drawings? False as long as that is not known. */
  get isReal() {
    return Boolean(this.facts?.classes?.length) && !this.facts.synthetic;
  }

  /** Whether it can say where a class shows; null if that is not known, as of a model that is not loaded yet. */
  get explains() {
    return this.info?.served ? this.info.explains : null;
  }

  /** The address of its card, null if it has none. */
  get card() {
    if (this.info?.card) return this.info.card;
    return this.asked === null && this.own?.model_card ? cardUrl : null;
  }

  tell() {
    this.dispatchEvent(new Event("change"));
  }
}

export const model = new Model();

let following = false;
let noticing = false;

/** Ask /ready until there is a model. */
export async function followModel() {
  if (following) return;
  following = true;
  while (!(await isReady())) await pause(LOOK_AGAIN);
  following = false;
}

/** With the key, if the reader has given it: others are not told what is wrong with a registry. */
function askReady() {
  return fetch(readyUrl, { headers: headers() });
}

async function isReady() {
  try {
    const response = await askReady();
    if (response.ok) takeReady(await response.json());
    else takeNotReady(await readProblem(response));
    return response.ok;
  } catch {
    showStatus("missing", "The server does not answer");
    return false;
  }
}

function takeReady(ready) {
  model.own = ready;
  model.missing = false;
  show();
  loadModels();
  model.dispatchEvent(new Event("ready"));
  followNotice();
}

/** A notice goes when its reason does: look again as long as there is one. */
async function followNotice() {
  if (noticing) return;
  noticing = true;
  while (model.own.notice) {
    await pause(LOOK_AT_NOTICE);
    const ready = await askReady().then((response) => (response.ok ? response.json() : null), () => null);
    if (ready === null) continue;
    model.own = ready;
    show();
  }
  noticing = false;
}

function takeNotReady(problem) {
  const loading = problem.type === LOADING;
  if (model.asked === null || !model.others.size) {
    showStatus(loading ? "loading" : "missing", loading ? "Loading the model…" : "No model");
    model.missing = !loading;
  }
  element("no-model-advice").hidden = !problem.advice;
  element("no-model-reason").textContent = sentence(problem.detail ?? "");
  model.tell();
}

/** Learn which models may be asked; without an answer, the page works with the server's own. */
async function loadModels() {
  try {
    const response = await ask("/models", { quiet: true });
    const { models } = await response.json();
    model.others = new Map(models.map((each) => [each.name, each]));
  } catch (error) {
    console.info("the models cannot be listed:", error.message);
  }
  if (model.asked !== null && !model.info?.served) await describe(model.asked);
  show();
}

/** Learn what a model is, which makes the server load it. */
async function describe(name) {
  showStatus("loading", "Loading the model…");
  model.trouble = null;
  try {
    const response = await ask(`/models/${encodeURIComponent(name)}`);
    model.others.set(name, await response.json());
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    if (model.asked === name) model.trouble = error.problem;
  }
}

function show() {
  const names = [...new Set([model.own?.model, ...model.others.keys(), model.isUnknown ? null : model.asked])].filter(Boolean);
  element("model-choice").hidden = names.length < 2;
  if ([...select.options].map((option) => option.value).join() !== names.join()) {
    select.replaceChildren(...names.map((name) => make("option", { value: name, textContent: name })));
  }
  select.value = model.asked ?? model.own?.model ?? "";
  const isOwn = model.asked === null || model.asked === model.own?.model;
  showStatus(!isOwn && (model.trouble || model.info === null) ? "missing" : "ready", status());
  showUnknown(names);
  showFacts(model.facts);
  model.tell();
}

function status() {
  if (model.own && (model.asked === null || model.asked === model.own.model)) {
    return `${model.own.model} · version ${model.own.version}`;
  }
  if (model.trouble && !model.isUnknown) return `${model.asked} · cannot be asked now`;
  if (model.info === null) return `${model.asked} · not known here`;
  return model.info.served ? `${model.asked} · version ${model.info.served}` : `${model.asked} · loads when asked`;
}

/** Instead of a place for images that nothing would answer for: the models that there are. */
function showUnknown(names) {
  document.body.classList.toggle("without-model", model.isUnknown);
  element("unknown").hidden = !model.isUnknown;
  element("unknown-name").textContent = model.asked ?? "";
  element("known-models").replaceChildren(...names.map((name) => make("li", {}, make("a", { href: addressOf(name), textContent: name }))));
  element("known-title").hidden = names.length === 0;
}

/** This page's address with another model. */
function addressOf(name) {
  const address = new URL(location);
  if (name === null || name === model.own?.model) address.searchParams.delete("model");
  else address.searchParams.set("model", name);
  return address.href;
}

function showFacts(facts) {
  const { description = "", synthetic = false, classes = [], notice = null } = facts ?? {};
  element("model-card").hidden = model.card === null;
  if (model.card !== null) element("model-card").href = model.card;
  element("synthetic").hidden = !synthetic;
  element("notice").hidden = !notice;
  element("notice").textContent = sentence(notice ?? "");
  if (description) element("description").textContent = description;
  element("classes").replaceChildren(...classes.map(classRow));
  element("known").hidden = classes.length === 0;
}

function showStatus(state, text) {
  const node = element("model");
  node.dataset.state = state;
  say(node, text);
}

function classRow(label) {
  const row = clone("class");
  row.querySelector(".bar-name").textContent = inWords(label);
  return row;
}

select.addEventListener("change", async () => {
  askAnew();
  model.asked = select.value === model.own?.model ? null : select.value;
  model.trouble = null;
  history.replaceState(history.state, "", addressOf(model.asked));
  model.dispatchEvent(new Event("switched"));
  if (model.asked !== null && !model.info?.served) await describe(model.asked);
  show();
});
window.addEventListener("popstate", () => history.replaceState(history.state, "", addressOf(model.asked)));
document.addEventListener("keygiven", loadModels);
