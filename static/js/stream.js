/*
  Server-sent events over fetch: text only, resumable, abortable. EventSource does not retry after
  an HTTP error and cannot be told from where to resume; this can.
*/
const SLOWEST_MS = 15_000;
const MOST_TRIES = 8;

/**
 * Follow a stream until it says that it is over (204, or on() returns false).
 * url(): the address from where the reader stands now. on(type, data): an event; data is JSON.
 * fault(error): told once of what on() throws; such a connection is a failure like any other.
 * Rejects when the server refuses (4xx), or after MOST_TRIES failures in a row.
 */
export async function follow({ url, on, fault, signal }) {
  let failures = 0; // connections in a row that came to nothing
  let faults = 0; // and in which on() threw: that each of them was opened says nothing
  while (!signal.aborted) {
    try {
      const answer = await fetch(url(), { headers: { Accept: 'text/event-stream' }, signal, cache: 'no-store' });
      if (answer.status === 204) return;
      if (!answer.ok || !answer.body) throw Object.assign(new Error(`HTTP ${answer.status}`), { status: answer.status });
      failures = 0;
      if (await read(answer.body, on)) return;
      faults = 0;
    } catch (error) {
      if (signal.aborted) return;
      const refused = error.status >= 400 && error.status < 500 && error.status !== 429;
      if (error instanceof Fault) {
        if (!faults) fault(error.cause);
        faults += 1;
      } else failures += 1;
      if (refused || failures + faults > MOST_TRIES) throw error;
    }
    const pause = Math.min(SLOWEST_MS, 250 * 2 ** (failures + faults)) * (0.75 + Math.random() / 2);
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

/** What a handler threw. */
class Fault extends Error {}

/** Read one connection to its end; true when a handler said that the stream is over. */
async function read(body, on) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return false;
    buffer += value;
    const blocks = buffer.split('\n\n');
    buffer = blocks.pop();
    for (const block of blocks) {
      if (!handled(block, on)) {
        await reader.cancel();
        return true;
      }
    }
  }
}

/** Hand an event on; false when the stream is over. */
function handled(block, on) {
  try {
    const event = parse(block);
    return !event || on(event.type, event.data) !== false;
  } catch (error) {
    throw new Fault('a handler failed', { cause: error });
  }
}

function parse(block) {
  let type = 'message';
  let data = '';
  for (const line of block.split('\n')) {
    if (line.startsWith('event: ')) type = line.slice(7);
    else if (line.startsWith('data: ')) data += line.slice(6);
  }
  return data && { type, data: JSON.parse(data) };
}
