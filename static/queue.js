// At most so many requests at a time; what the reader looks at goes first.

const AT_ONCE = 2;
const queue = [];
let running = 0;

/** Run an asynchronous task in its turn, before others if it `isLookedAt` by then; its result or error is this one's. */
export function inTurn(task, isLookedAt = () => false) {
  return new Promise((resolve, reject) => {
    queue.push({ task, isLookedAt, resolve, reject });
    next();
  });
}

function next() {
  if (running >= AT_ONCE || queue.length === 0) return;
  const [entry] = queue.splice(Math.max(0, queue.findIndex(({ isLookedAt }) => isLookedAt())), 1);
  running += 1;
  entry
    .task()
    .then(entry.resolve, entry.reject)
    .finally(() => {
      running -= 1;
      next();
    });
}
