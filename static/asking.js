// From items to answers: one request for each image, one for an archive; an error stays with its item.

import { choice, Item, seriesOf } from "./items.js";
import { askAnew } from "./key.js";
import { model } from "./models.js";
import { inTurn } from "./queue.js";
import { ask, formOf, Refusal } from "./server.js";
import { inBytes, MEGABYTE, sentence } from "./words.js";
import { membersOf } from "./zip.js";

const maxUploadMb = Number(document.body.dataset.maxUploadMb);

/** Ask about an item, with the window and frame it is looked at with; calls of the same item replace each other. */
export async function askAbout(item) {
  askAnew();
  const problem = obviousProblem(item);
  if (problem) fail(item, problem);
  else await attempt(item, isMany(item) ? askMany : askImage);
}

/** Several DICOM files as one item, since only together they are a series; all else stays as it is. */
export function asSeries(items) {
  const slices = items.filter(isSlice);
  if (slices.length < 2 || whyNoSeries(items)) return items;
  return [seriesOf(slices), ...items.filter((item) => !isSlice(item))];
}

/** What keeps several DICOM files from being sent together, in words; empty if nothing. */
export function whyNoSeries(items) {
  const slices = items.filter(isSlice);
  const size = slices.reduce((sum, item) => sum + item.size, 0);
  if (slices.length < 2 || size <= maxUploadMb * MEGABYTE) return "";
  return `${slices.length} DICOM files have ${inBytes(size)}, and this server takes ${maxUploadMb} MB at a time: they are no series here, each is asked about by itself.`;
}

function isSlice({ kind }) {
  return kind === "dicom";
}

/** The query that says which model is asked and how an item is looked at. */
export function queryOf(item) {
  return { model: model.asked, ...item.look };
}

async function attempt(item, action) {
  item.controller?.abort();
  item.controller = new AbortController();
  const { signal } = item.controller;
  item.state = item.answer ? "again" : "busy";
  item.failure = null;
  note(item, "");
  try {
    await action(item, signal);
  } catch (error) {
    if (signal.aborted) return;
    if (!(error instanceof Refusal)) throw error;
    fail(item, error.told);
  }
}

async function askImage(item, signal) {
  const answer = await post(item, "/predict", signal);
  Object.assign(item, { state: "done", answer, dicom: answer.picture.dicom, place: 0, label: null, failure: null, maps: null, note: "" });
  choice.changed(item);
}

async function askMany(item, signal) {
  const batch = await post(item, "/batch", signal);
  const members = item.files ? byName(item.files) : await membersOf(await item.bytes());
  choice.expand(item, batch.results.map((result) => memberItem(result, members.get(result.name) ?? null, batch)));
}

async function post(item, path, signal) {
  const form = await formOf(item.files ?? [item]);
  const options = { query: queryOf(item), body: form, signal, onWait: (text) => note(item, text) };
  const task = () => {
    note(item, isMany(item) ? "Classifying the images…" : "Classifying…");
    return ask(path, options);
  };
  const response = await inTurn(task, () => item === choice.selected);
  return response.json();
}

function isMany({ kind }) {
  return kind === "archive" || kind === "series";
}

/** The bytes of each file; null where two have one name. */
function byName(files) {
  const found = new Map();
  for (const { name, bytes } of files) found.set(name, found.has(name) ? null : bytes);
  return found;
}

function memberItem(result, bytes, { series, request_id }) {
  const item = new Item(result.name, null, bytes);
  item.series = series;
  item.answer = result.answer ?? null;
  item.dicom = item.answer?.picture.dicom ?? null;
  item.place = result.index;
  item.state = result.answer ? "done" : "failed";
  if (result.problem) item.failure = new Refusal(result.problem, request_id).told;
  if (item.dicom) item.kind = "dicom";
  if (!bytes) item.picture = false;
  return item;
}

function obviousProblem({ name, size, unreadable }) {
  if (unreadable) return { title: "This cannot be opened", detail: `Is ${name} a folder? Choose the files in it.` };
  if (size === 0) return { title: "This file is empty", detail: `The file ${name} has no content.` };
  if (size > maxUploadMb * MEGABYTE) {
    const detail = `The file ${name} has ${inBytes(size)}; this server accepts up to ${maxUploadMb} MB.`;
    return { title: "This file is too large", detail };
  }
  return null;
}

function fail(item, { title, detail, requestId = null, canRetry = false, problem = { title, detail } }) {
  const failure = { title, detail: sentence(detail), requestId, canRetry, problem };
  Object.assign(item, { state: "failed", failure, answer: null, place: 0, maps: null, note: "" });
  choice.changed(item);
}

function note(item, text) {
  item.note = text;
  choice.changed(item);
}
