// The API key, where a server wants one: asked for in a small form, kept for this tab only.

import { element } from "./dom.js";

const NAME = "cnnclassifier-api-key";
const SENDABLE = /^[\x20-\x7e]*$/; // of others the server has none, and a header may not hold them
const dialog = element("key");
let asking = null; // one form, however many requests want the key
let declined; // the key in whose place the reader gave none: not asked again for what was chosen before

export function headers() {
  const key = sessionStorage.getItem(NAME);
  return key ? { "X-API-Key": key } : {};
}

/** Ask for the key; whether one was given. `sent` is the key that the server did not take. */
export function wantKey(sent) {
  // Another request may have asked meanwhile: then the key is new and worth a try.
  if ((headers()["X-API-Key"] ?? null) !== sent) return Promise.resolve(true);
  if (declined === sent) return Promise.resolve(false);
  asking ??= showForm(sent !== null).then((given) => {
    asking = null;
    if (!given) declined = sent;
    return given;
  });
  return asking;
}

/** The reader has asked for something anew: the form may come again. */
export function askAnew() {
  declined = undefined;
}

function showForm(wrong) {
  const field = element("key-field");
  field.value = "";
  element("key-wrong").hidden = !wrong;
  dialog.returnValue = "";
  dialog.showModal();
  field.focus();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(keep(dialog.returnValue, field.value)), { once: true });
  });
}

function keep(pressed, value) {
  if (pressed !== "give" || value.trim() === "") return false;
  sessionStorage.setItem(NAME, value.trim());
  document.dispatchEvent(new Event("keygiven"));
  return true;
}

dialog.addEventListener("submit", (event) => {
  const field = element("key-field");
  if (SENDABLE.test(field.value.trim())) return;
  event.preventDefault();
  element("key-wrong").hidden = false;
  field.select();
});
element("key-cancel").addEventListener("click", () => dialog.close());
