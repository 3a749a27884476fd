/*
  Server-sent events over fetch: text only, resumable, abortable. EventSource does not retry after
  an HTTP error and cannot be told from where to resume; this can.
*/
const SLOWEST_MS = 15_000;
const MOST_TRIES = 8;

/**
 * Follow a stream until it says that it is over (204, or on() returns false).
 * url(): the address from where the reader stands now. on(type, data): an event; data is JSON.
 * Rejects when the server refuses (4xx), or after MOST_TRIES failures in a row.
 */
export async function follow({ url, on, signal }) {
  let failures = 0;
  while (!signal.aborted) {
    try {
      const answer = await fetch(url(), { headers: { Accept: 'text/event-stream' }, signal, cache: 'no-store' });
      if (answer.status === 204) return;
      if (!answer.ok || !answer.body) throw Object.assign(new Error(`HTTP ${answer.status}`), { status: answer.status });
      failures = 0;
      if (await read(answer.body, on)) return;
    } catch (error) {
      if (signal.aborted) return;
      const refused = error.status >= 400 && error.status < 500 && error.status !== 429;
      failures += 1;
      if (refused || failures > MOST_TRIES) throw error;
    }
    const pause = Math.min(SLOWEST_MS, 250 * 2 ** failures) * (0.75 + Math.random() / 2);
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

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
      const event = parse(block);
      if (event && on(event.type, event.data) === false) {
        await reader.cancel();
        return true;
      }
    }
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
