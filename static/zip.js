// The files of a .zip, read in the browser: the server answers for them, but their pictures are only here.

const END = 0x06054b50;
const END_SIZE = 22;
const LONGEST_COMMENT = 0xffff;
const ENTRY_SIZE = 46;
const LOCAL_SIZE = 30;
const STORED = 0;
const DEFLATED = 8;
const LONGEST_NAME = 100;
const NAMES_ARE_UTF8 = 0x0800; // among an entry's flags; without it they are in the code page of old PCs, as Python reads them
const CODE_PAGE_437 =
  "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u00a0";

/** Functions that give each file's bytes, by the name that the server shows; none where two files share a name. */
export async function membersOf(zip) {
  const members = new Map();
  for (const entry of await readDirectory(zip)) {
    const name = shownName(entry.path);
    members.set(name, members.has(name) ? null : () => extract(zip, entry));
  }
  return members;
}

async function readDirectory(zip) {
  const tail = await viewOf(zip.slice(Math.max(0, zip.size - END_SIZE - LONGEST_COMMENT)));
  let at = tail.byteLength - END_SIZE;
  while (at >= 0 && tail.getUint32(at, true) !== END) at -= 1;
  if (at < 0) return [];
  const start = tail.getUint32(at + 16, true);
  return entriesOf(await viewOf(zip.slice(start, start + tail.getUint32(at + 12, true))));
}

function entriesOf(view) {
  const entries = [];
  for (let at = 0; at + ENTRY_SIZE <= view.byteLength; ) {
    const [name, extra, comment] = [28, 30, 32].map((offset) => view.getUint16(at + offset, true));
    if (at + ENTRY_SIZE + name > view.byteLength) break;
    entries.push({
      path: pathOf(new Uint8Array(view.buffer, at + ENTRY_SIZE, name), view.getUint16(at + 8, true)),
      method: view.getUint16(at + 10, true),
      compressed: view.getUint32(at + 20, true),
      offset: view.getUint32(at + 42, true),
    });
    at += ENTRY_SIZE + name + extra + comment;
  }
  return entries;
}

function pathOf(bytes, flags) {
  if (flags & NAMES_ARE_UTF8) return new TextDecoder().decode(bytes);
  return [...bytes].map((byte) => (byte < 128 ? String.fromCharCode(byte) : CODE_PAGE_437[byte - 128])).join("");
}

async function extract(zip, { method, compressed, offset }) {
  const local = await viewOf(zip.slice(offset, offset + LOCAL_SIZE));
  const start = offset + LOCAL_SIZE + local.getUint16(26, true) + local.getUint16(28, true);
  const data = zip.slice(start, start + compressed);
  if (method === STORED) return data;
  if (method !== DEFLATED) throw new RangeError(`compression method ${method} is not read here`);
  return new Response(data.stream().pipeThrough(new DecompressionStream("deflate-raw"))).blob();
}

async function viewOf(blob) {
  return new DataView(await blob.arrayBuffer());
}

function shownName(path) {
  return [...path.split(/[/\\]/).at(-1)].slice(-LONGEST_NAME).join("");
}
