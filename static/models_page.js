// The models' page: what may be asked, how each model decides, and its versions.

import { clone, element, make, say } from "./dom.js";
import { ask, Refusal } from "./server.js";
import { agreementInWords, counted, decisionInWords, inWords, preprocessingInWords, sentence } from "./words.js";

const { indexUrl } = document.body.dataset;

async function load() {
  try {
    const response = await ask("/models");
    const { models } = await response.json();
    element("list").replaceChildren(...models.map(place));
    say(element("state"), models.length ? counted(models.length, "model") : "There is no model yet. `make run` trains and registers one.".replaceAll("`", ""));
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    say(element("state"), `${error.told.title}. ${error.told.detail}`);
  }
}

/** A model's sheet: at once where it is loaded, otherwise on request, as that loads it. */
function place(model) {
  const sheet = sheetOf(model);
  const button = sheet.querySelector(".load");
  const showAll = async () => {
    button.disabled = true;
    try {
      const response = await ask(`/models/${encodeURIComponent(model.name)}`, { onWait: (text) => say(sheet.querySelector(".served"), text) });
      const whole = sheetOf(await response.json());
      whole.querySelector(".card").open = sheet.querySelector(".card").open; // opened meanwhile
      sheet.replaceWith(whole);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      say(sheet.querySelector(".served"), `${error.told.title}. ${error.told.detail}`);
      button.disabled = false;
    }
  };
  button.addEventListener("click", showAll);
  if (model.served) showAll();
  return sheet;
}

function sheetOf(model) {
  const article = clone("model");
  const within = (selector) => article.querySelector(selector);
  const { name, served, classes, description, backbone, synthetic, explains, decision, preprocessing, card, versions, agreement } = model;
  within("h2").textContent = name;
  within("h2").id = `model-${name}`;
  article.setAttribute("aria-labelledby", `model-${name}`);
  within(".served").textContent = served ? `version ${served} is served` : "loads when it is asked";
  within(".synthetic").hidden = !synthetic;
  within(".about").textContent = [description, backbone && `Backbone: ${backbone}.`].filter(Boolean).join(" ");
  within(".use").href = `${indexUrl}?${new URLSearchParams({ model: name })}`;
  within(".use").setAttribute("aria-label", `Use this model: ${name}`);
  within(".card").hidden = !card;
  if (card) showCard(within(".card"), name, card);
  within(".load").hidden = Boolean(served);
  within(".columns").hidden = !served;
  within(".labels").replaceChildren(...classes.map(inWords).map(line));
  within(".decides").hidden = !decision;
  if (decision) within(".rules").replaceChildren(...decisionInWords(decision).map(line));
  within(".prepares").hidden = !preprocessing;
  if (preprocessing) within(".steps").replaceChildren(...looks(preprocessing, explains).map(line));
  within(".agreement").hidden = !agreement;
  if (agreement) showAgreement(within, agreement);
  within(".registered").hidden = versions.length === 0;
  within(".scroll").setAttribute("aria-label", `Versions of ${name}`);
  within("tbody").replaceChildren(...versions.map(versionRow));
  return article;
}

function showAgreement(within, agreement) {
  const [said, note] = agreementInWords(agreement);
  within(".agreed").textContent = said;
  within(".agreed-note").textContent = note;
}

/** The card in a frame, which is loaded when it is opened; and as a page of its own. */
function showCard(details, name, address) {
  const frame = details.querySelector("iframe");
  frame.title = `Model card of ${name}`;
  details.querySelector("a").href = address;
  details.addEventListener("toggle", () => {
    if (details.open && !frame.src) frame.src = address;
  });
}

function looks(preprocessing, explains) {
  const why = explains ? "It can show where in a picture a class shows." : "It cannot show where in a picture a class shows.";
  return [preprocessingInWords(preprocessing), why];
}

function versionRow({ version, aliases, gate, promoted }) {
  const badges = aliases.map((alias) => make("span", { className: `badge badge-${alias}`, textContent: alias }));
  const first = make("th", { scope: "row", textContent: version });
  const said = [gate ? sentence(gate) : "–"];
  if (promoted) said.push(make("p", { className: "promoted", textContent: `Promoted by hand: ${sentence(promoted)}` }));
  return make("tr", {}, first, make("td", {}, ...(badges.length ? badges : ["–"])), make("td", {}, ...said));
}

function line(textContent) {
  return make("li", { textContent });
}

load();
