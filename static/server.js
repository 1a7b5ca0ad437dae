// The server: one request, with patience where patience helps, and its problems as errors.

import { headers, wantKey } from "./key.js";
import { counted, sentence } from "./words.js";

const { api } = document.body.dataset;
const LOADING = "urn:cnnclassifier:problem:model-loading";
const BUSY_TRIES = 3;
const LONGEST_WAIT = 60; // seconds

/** The server said no, or nothing: `problem` is an RFC 9457 document. */
export class Refusal extends Error {
  constructor(problem, requestId = null) {
    super(problem.title);
    this.problem = problem;
    this.requestId = requestId;
  }

  /** What to tell people. */
  get told() {
    const { problem, requestId } = this;
    const { title, detail = "", advice, status } = problem;
    const text = [detail, advice ?? ""].map(sentence).filter(Boolean).join(" ");
    return { title, detail: text, requestId, canRetry: !status || status >= 500 || status === 429 || status === 401, problem };
  }
}

/**
 * Ask the API; the response if it is good, otherwise a Refusal. Asks again while the model loads, up to three times
 * if the server is busy, and once the key was given if it wants one. `quiet` requests only try once. `json` is sent
 * as such, `body` as it is.
 */
export async function ask(path, { query = {}, body, json, signal, onWait = () => {}, quiet = false } = {}) {
  for (let busy = 0; ; ) {
    const sent = headers();
    const carried = json === undefined ? { body, headers: sent } : { body: JSON.stringify(json), headers: { ...sent, "Content-Type": "application/json" } };
    const response = await send(api + path + inAddress(query), { ...carried, signal });
    if (response.ok) return response;
    const refusal = new Refusal(await readProblem(response), response.headers.get("X-Request-ID"));
    if (quiet) throw refusal;
    if (refusal.problem.type === LOADING) {
      onWait("Loading the model…");
      await pause(1, signal);
    } else if (response.status === 429 && busy < BUSY_TRIES) {
      busy += 1;
      await waitAsTold(response, onWait, signal);
    } else if (response.status !== 401 || !(await wantKey(sent["X-API-Key"] ?? null))) {
      throw refusal;
    }
  }
}

/** The form that carries files, each with its name and its bytes. */
export async function formOf(files) {
  const form = new FormData();
  for (const file of files) form.append("image", await file.bytes(), file.name);
  return form;
}

/** The problem document of a response that is not good. */
export async function readProblem(response) {
  try {
    return await response.json();
  } catch {
    return { title: "The server refused", status: response.status, detail: `It answered ${response.status}.` };
  }
}

/** Wait so many seconds, or fail at once when the signal comes. */
export function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, 1000 * seconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}

async function send(address, { body, ...options }) {
  try {
    return await fetch(address, { method: body ? "POST" : "GET", body, ...options });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    console.error(error);
    throw new Refusal({ title: "The server does not answer", detail: "Is it still running?" });
  }
}

async function waitAsTold(response, onWait, signal) {
  const told = Number(response.headers.get("Retry-After"));
  for (let left = Math.min(Math.max(Math.ceil(told) || 1, 1), LONGEST_WAIT); left > 0; left -= 1) {
    onWait(`The server is busy. Trying again in ${counted(left, "second")}…`);
    await pause(1, signal);
  }
  onWait("Trying again…");
}

function inAddress(query) {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined);
  return given.length ? `?${new URLSearchParams(given)}` : "";
}
