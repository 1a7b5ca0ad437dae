// A reader's label for the selected image's answer, where the server keeps any.

import { element, make, say } from "./dom.js";
import { choice } from "./items.js";
import { askAnew } from "./key.js";
import { ask, Refusal } from "./server.js";
import { inWords, plain } from "./words.js";

const form = element("feedback");
let offered = null; // the answer whose classes can be chosen

function render() {
  const item = choice.selected;
  if (!item?.answer) return;
  if (item.answer !== offered) {
    offered = item.answer;
    const options = Object.keys(item.answer.probabilities).map((value) => make("option", { value, textContent: inWords(value) }));
    element("feedback-label").replaceChildren(make("option", { value: "", textContent: "Choose a class…" }), ...options);
  }
  const kept = item.label?.value ?? "";
  element("feedback-label").value = item.draft ?? kept;
  say(element("feedback-said"), (item.draft ?? kept) === kept ? (item.label?.said ?? "") : "");
}

async function send(item, value) {
  const { request_id } = item.answer;
  element("feedback-send").disabled = true;
  try {
    const response = await ask("/feedback", { json: { request_id, item: item.place, label: value } });
    item.label = { value, said: inShort(await response.json()) };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const { title, detail } = error.told;
    item.label = { value, said: `${title}. ${detail}` };
  } finally {
    element("feedback-send").disabled = false;
  }
  if (item.draft === value) item.draft = null; // unless another was chosen meanwhile
  if (item === choice.selected) render();
}

function inShort({ label, answered, agrees }) {
  if (agrees === null) return `Saved: ${plain(label)}. The model gave no answer.`;
  return `Saved: ${plain(label)}. The model predicted ${agrees ? "the same" : plain(answered)}.`;
}

if (form) {
  element("feedback-label").addEventListener("change", ({ target }) => {
    choice.selected.draft = target.value; // the page is drawn again by a picture, a map: the choice stays
    render();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    askAnew();
    send(choice.selected, element("feedback-label").value);
  });
  choice.addEventListener("selected", render);
  choice.addEventListener("item", ({ detail }) => {
    if (detail === choice.selected) render();
  });
}
