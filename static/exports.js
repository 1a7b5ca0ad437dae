// Answers as files: the same columns and fields as the API's batches give. Made here, nothing is asked again.

import { make } from "./dom.js";

const COLUMNS = ["index", "name", "state", "label", "confidence", "prediction_set", "problem", "model", "version"];
const FORMULA = /^[=+\-@\t\r]/; // what makes a spreadsheet compute a cell (OWASP, CSV injection)
const BYTE_ORDER_MARK = "\ufeff"; // without it, Excel takes UTF-8 for another encoding

export function asCsv(items) {
  const classes = Object.keys(items.find((item) => item.answer)?.answer.probabilities ?? {});
  const head = [...COLUMNS, ...classes.map((label) => `probability of ${label}`)];
  const lines = [head, ...items.map((item, index) => rowOf(item, index, classes))];
  return BYTE_ORDER_MARK + lines.map((line) => `${line.map(cell).join(",")}\r\n`).join("");
}

export function asJson(items) {
  const results = items.map(({ name, answer, failure }, index) => ({
    index,
    name,
    answer,
    problem: failure && { title: failure.title, detail: failure.detail },
  }));
  const answers = items.map((item) => item.answer).filter(Boolean);
  const disclaimer = answers[0]?.disclaimer ?? "";
  const counts = { answered: answers.length, failed: items.length - answers.length };
  return JSON.stringify({ results, ...counts, series: items.every((item) => item.series), disclaimer }, null, 2);
}

/** Let the browser save a text as a file. */
export function download(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

function rowOf({ name, answer, failure }, index, classes) {
  if (!answer) {
    const problem = failure ? `${failure.title}: ${failure.detail}` : "";
    return [index, name, "problem", "", "", "", problem, "", "", ...classes.map(() => "")];
  }
  const { state, label, confidence, prediction_set, model, version, probabilities } = answer;
  const shares = classes.map((each) => probabilities[each]?.toFixed(6) ?? "");
  return [index, name, state, label ?? "", confidence.toFixed(6), prediction_set.join(" "), "", model, version, ...shares];
}

function cell(value) {
  const text = String(value);
  const harmless = FORMULA.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}
