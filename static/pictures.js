// What a file is, and a picture of it that the browser can show: its own, else one that the server makes.

import { queryOf } from "./asking.js";
import { choice } from "./items.js";
import { inTurn } from "./queue.js";
import { ask, formOf, Refusal } from "./server.js";

/** Find out from a file's first bytes whether it is an archive or DICOM; its name has the last word. */
export async function findKind(item) {
  const head = await headOf(item);
  item.unreadable = head === null;
  if (item.unreadable) return;
  const text = (from, to) => String.fromCharCode(...head.slice(from, to));
  if (text(0, 4) === "PK\x03\x04") item.kind = "archive";
  else if (text(128, 132) === "DICM" || /\.(dcm|dicom)$/i.test(item.name)) item.kind = "dicom";
}

/** A file's first bytes; null if the browser may not read it, as where a folder was dropped. */
async function headOf(item) {
  try {
    return new Uint8Array(await (await item.bytes()).slice(0, 132).arrayBuffer());
  } catch {
    return null;
  }
}

/** Make an item's picture if it has none yet. */
export async function wantPicture(item) {
  if (item.picture !== null || item.kind === "archive" || item.unreadable || item.wantsPicture) return;
  item.wantsPicture = true;
  const own = item.kind === "image" ? await shown(await item.bytes()) : null;
  if (own) place(item, own);
  else await renewPicture(item);
  item.wantsPicture = false;
}

/** Ask the server for an item's picture, through its window and at its frame. */
export async function renewPicture(item, signal) {
  try {
    const options = { query: queryOf(item), body: await formOf([item]), signal };
    const response = await inTurn(() => ask("/picture", options), () => item === choice.selected);
    const picture = await shown(await response.blob());
    if (!signal?.aborted) place(item, picture ?? false);
  } catch (error) {
    if (signal?.aborted) return;
    if (!(error instanceof Refusal)) throw error;
    place(item, false); // the answer, asked for beside it, says what is wrong
  }
}

function place(item, picture) {
  if (item.picture) URL.revokeObjectURL(item.picture.url);
  item.picture = picture;
  choice.changed(item);
}

/** A blob as a picture, null if this browser cannot show it. */
async function shown(blob) {
  const url = URL.createObjectURL(blob);
  const image = new Image();
  image.src = url;
  try {
    await image.decode();
    return { url, width: image.naturalWidth, height: image.naturalHeight };
  } catch {
    URL.revokeObjectURL(url);
    return null;
  }
}
