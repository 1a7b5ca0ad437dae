// What was chosen: each image with its state, and which one is on the screen. Nothing here draws or asks.
//
// An item's state: "waiting", "busy" (no answer yet), "again" (has an answer, asks for another), "done", "failed".

let count = 0;

export class Item {
  constructor(name, size, bytes) {
    count += 1;
    this.id = `image-${count}`;
    this.name = name;
    this.size = size; // bytes, null if not known
    this.bytes = bytes; // async () => Blob; null if the bytes are not here
    this.kind = "image"; // or "dicom", "archive", or "series": several DICOM files whose order the server finds
    this.look = { window_center: null, window_width: null, frame: null }; // of a DICOM file; null: as it is
    this.wantsPicture = false; // is its picture being made?
    this.picture = null; // { url, width, height } once it can be shown; false if it cannot
    this.dicom = null; // what its last answer said of a DICOM file's frames and window
    this.sample = null; // { label, kind } if it is one of the samples
    this.unreadable = false; // may the browser not read it?
    this.series = false; // one slice of a series?
    this.place = 0; // in the request that it was answered in
    this.clear();
  }

  clear() {
    this.state = "waiting";
    this.answer = null;
    this.failure = null; // { title, detail, requestId, canRetry, problem }: words, and the problem document
    this.maps = null; // by class, for the answer's look
    this.label = null; // { value, said }: what a reader says it is, and what became of that
    this.draft = null; // the class that a reader chose and has not sent
    this.note = "";
  }

  get outcome() {
    if (this.state === "failed") return "problem";
    return this.answer ? this.answer.state : "waiting";
  }

  get isOver() {
    return this.state === "done" || this.state === "failed";
  }
}

export function itemOf(file) {
  return new Item(file.name, file.size, async () => file);
}

/** DICOM files chosen together as one item. */
export function seriesOf(files) {
  const item = new Item(`${files.length} DICOM files`, files.reduce((size, file) => size + file.size, 0), null);
  item.kind = "series";
  item.files = files;
  item.picture = false;
  return item;
}

class Choice extends EventTarget {
  items = [];
  selected = null;

  /** Take new items in place of all others. */
  replace(items) {
    for (const item of this.items) forget(item);
    this.items = items;
    this.selected = items[0] ?? null;
    this.#tell("list", "new");
    this.#tell("selected");
  }

  /** Put the images of an archive or a series in its place. */
  expand(whole, members) {
    this.items = this.items.flatMap((item) => (item === whole ? members : [item]));
    if (this.selected === whole) this.selected = members[0] ?? null;
    this.#tell("list", "expanded");
    this.#tell("selected");
  }

  select(item) {
    this.selected = item;
    this.#tell("selected");
  }

  /** Tell everybody that an item has changed. */
  changed(item) {
    if (this.items.includes(item)) this.#tell("item", item);
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

function forget(item) {
  item.controller?.abort();
  if (item.picture) URL.revokeObjectURL(item.picture.url);
}

export const choice = new Choice();
