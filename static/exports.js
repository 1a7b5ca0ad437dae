// Answers as files, with the columns and fields of the API's batches. Made here, nothing is asked again.
//
// The answers may come from many requests. `index` is a file's place in its own one, as the server knows it; of all
// files together are told the model, version and request that they have in common, null where they do not.

import { make } from "./dom.js";
import { sentence } from "./words.js";

const COLUMNS = ["index", "name", "state", "label", "confidence", "prediction_set", "problem", "model", "version", "request_id"];
const FORMULA = /^[=+\-@\t\r]/; // what makes a spreadsheet compute a cell (OWASP, CSV injection)
const BYTE_ORDER_MARK = "\ufeff"; // without it, Excel takes UTF-8 for another encoding

export function asCsv(items) {
  const classes = Object.keys(items.find((item) => item.answer)?.answer.probabilities ?? {});
  const head = [...COLUMNS, ...classes.map((label) => `probability of ${label}`)];
  const lines = [head, ...items.map((item) => rowOf(item, classes))];
  return BYTE_ORDER_MARK + lines.map((line) => `${line.map(cell).join(",")}\r\n`).join("");
}

export function asJson(items) {
  const results = items.map(({ place, name, answer, failure }) => ({ index: place, name, answer, problem: failure && failure.problem }));
  const answers = items.map((item) => item.answer).filter(Boolean);
  const told = ["model", "version", "request_id"].map((field) => [field, common(answers.map((answer) => answer[field]))]);
  const batch = {
    results,
    answered: answers.length,
    failed: items.length - answers.length,
    series: items.every((item) => item.series),
    ...Object.fromEntries(told),
    disclaimer: answers[0]?.disclaimer ?? "",
  };
  return JSON.stringify(batch, null, 2);
}

/** What all of these are, null if they differ or there is none. */
function common(values) {
  return new Set(values).size === 1 ? values[0] : null;
}

/** Let the browser save a text as a file. */
export function download(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

function rowOf({ place, name, answer, failure }, classes) {
  if (!answer) return [place, name, "problem", "", "", "", failure ? reason(failure) : "", "", "", failure?.requestId ?? "", ...classes.map(() => "")];
  const { state, label, confidence, prediction_set, model, version, request_id, probabilities } = answer;
  const shares = classes.map((each) => probabilities[each]?.toFixed(6) ?? "");
  const given = [state, label ?? "", confidence.toFixed(6), prediction_set.join("; "), ""];
  return [place, name, ...given, model, version, request_id, ...shares];
}

/** As the server tells it; what only this page knows, such as that no answer came, with its title. */
function reason({ problem, title, detail }) {
  return problem.status ? problem.detail : sentence(title) + (detail ? ` ${detail}` : "");
}

function cell(value) {
  const text = String(value);
  const harmless = FORMULA.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}
