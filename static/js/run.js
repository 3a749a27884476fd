/* A regeneration as it is being written: its text grows in #writing, its segments join the list. */
import { $, fill, points, say, texts } from './dom.js';
import { message, withdraw } from './notices.js';
import { follow } from './stream.js';
import { activate, active, byId, list, refilter } from './segments.js';

const FINAL = new Set(['done', 'failed', 'cancelled', 'superseded']);
const LOOK_MS = 400;
let run = null; // {id, url, have, cut, controller, state, timer}

const bar = () => $('#run');

/** Follow the run that the page shows, if it still writes. */
export function startRun() {
  const { run: id, resume, url } = bar().dataset;
  run?.controller.abort();
  run = null;
  if (!resume) return $('#writing')?.remove();
  if (!$('#writing')) list.append($('#writing-template').content.cloneNode(true));
  list.append($('#writing'));
  number();
  const have = Number(resume.split(':')[1]);
  run = { id, url, have, cut: have - points($('#tail').textContent).length, controller: new AbortController() };
  listen(run);
}

async function listen(current) {
  const { controller } = current;
  try {
    await follow({
      url: () => `${current.url}/stream?after=${current.id}:${current.have}:${current.cut}`,
      on: (type, data) => current === run && heard(type, data),
      signal: controller.signal,
    });
    if (current === run) ended();
  } catch {
    if (current === run) message('stream', texts.stream_lost, [{ text: texts.retry, act: startRun }]);
  }
}

function heard(type, data) {
  withdraw('stream');
  if (type === 'tok') write(data);
  else if (type === 'seg') add(data);
  else if (type === 'state') {
    if (run.state !== data.state && data.state === 'running') look();
    run.state = data.state;
  } else if (type === 'done') return false;
  return true;
}

/** Text goes in as text, and only what is not there yet. */
function write({ start, text }) {
  const fresh = points(text).slice(Math.max(0, run.have - start));
  if (!fresh.length) return;
  $('#tail').append(fresh.join(''));
  run.have = start + points(text).length;
}

/** A part of the text has become a segment: the server's HTML takes its place. */
function add({ segment_id: id, end, number: count, html }) {
  const tail = $('#tail');
  const rest = points(tail.textContent).slice(Math.max(0, end - run.cut));
  run.cut = end;
  run.have = Math.max(run.have, end);
  if (!byId(id)) {
    const holder = document.createElement('template');
    holder.innerHTML = html;
    const segment = holder.content.querySelector('.seg');
    $('#writing').before(segment);
    htmx.process(segment);
    first(segment);
    say(fill(texts.ready, { number: count }));
  }
  tail.textContent = rest.join('');
  number();
  refilter();
  look();
}

/** The first new segment becomes the active one, unless somebody is at work elsewhere. */
function first(segment) {
  const at = active();
  const busy = $('form.editor', list) || document.activeElement?.matches('input, textarea, select');
  const before = bar().previousElementSibling;
  if (!busy && at === before && segment.previousElementSibling === bar()) activate(segment, { scroll: null });
}

function number() {
  const all = list.querySelectorAll(':scope > .seg[data-id]');
  const last = all[all.length - 1];
  $('#writing .num').textContent = last ? Number(last.dataset.number) + 1 : 1;
}

/** Ask the server for the bar and the counts, at most a few times a second. */
function look() {
  const current = run;
  if (!current || current.timer) return;
  current.timer = setTimeout(() => {
    current.timer = 0;
    if (current === run) refresh(current.url);
  }, LOOK_MS);
}

const refresh = (url) => htmx.ajax('GET', url, { target: '#run', swap: 'outerHTML' });

async function ended() {
  const { url, state } = run;
  clearTimeout(run.timer);
  run = null;
  await refresh(url);
  // A correction has begun another one meanwhile: what is being written now is its text.
  if (run) return;
  const tail = $('#tail');
  if (!tail?.textContent || FINAL.has(state)) $('#writing')?.remove();
  refilter();
  say({ done: texts.done, failed: texts.failed, cancelled: texts.stopped }[state] ?? '');
}

/** The run bar belongs under the segment that the run continued from. */
export function placeRun(anchor) {
  anchor.after(bar());
}
