// Small helpers for the document. Text goes in as text, never as HTML.

export const element = (id) => document.getElementById(id);

/** A copy of the one element in the <template> of this id. */
export function clone(id) {
  return element(id).content.firstElementChild.cloneNode(true);
}

/** A new element with properties (className, textContent, ...) and children. */
export function make(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

/** Show an element with a text, or hide and empty it. */
export function showIf(id, wanted, text) {
  element(id).hidden = !wanted;
  element(id).textContent = wanted ? text : "";
}

/** Show one of several elements. */
export function showOne(ids, shown) {
  for (const id of ids) element(id).hidden = id !== shown;
}

/** Change a text only if it differs: a screen reader reads every change of a live region. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Call back once, when the node first comes near the visible part of the page. */
export function whenSeen(node, callback) {
  const watch = new IntersectionObserver(
    (entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      watch.disconnect();
      callback();
    },
    { rootMargin: "200px" },
  );
  watch.observe(node);
}

/** A function that calls `action` once it has not been called for some milliseconds. */
export function debounced(milliseconds, action) {
  let timer = 0;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => action(...values), milliseconds);
  };
}
