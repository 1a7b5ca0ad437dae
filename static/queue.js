// At most so many requests at a time; what the reader looks at goes first.

const AT_ONCE = 2;
const urgent = [];
const later = [];
let running = 0;

/** Run an asynchronous task in its turn; its result or error is this one's. */
export function inTurn(task, { first = false } = {}) {
  return new Promise((resolve, reject) => {
    (first ? urgent : later).push({ task, resolve, reject });
    next();
  });
}

function next() {
  if (running >= AT_ONCE) return;
  const entry = urgent.shift() ?? later.shift();
  if (!entry) return;
  running += 1;
  entry
    .task()
    .then(entry.resolve, entry.reject)
    .finally(() => {
      running -= 1;
      next();
    });
}
