/* A regeneration as it is being written: its text grows in #writing, its segments join the list. */
import { $, fill, points, say, texts } from './dom.js';
import { message, withdraw } from './notices.js';
import { bar, look, reach, refresh } from './runbar.js';
import { activate, active, byId, list, refilter } from './segments.js';
import { follow } from './stream.js';

const FINAL = new Set(['done', 'failed', 'cancelled', 'superseded']);
let run = null; // {id, url, have, cut, controller, state}
let paused = null; // a run that waits, not followed while nobody looks at the page

/** Follow the run that the page shows, if it still writes. */
export function startRun() {
  const { run: id, resume, url } = bar().dataset;
  run?.controller.abort();
  run = paused = null;
  if (!resume) return $('#writing')?.remove();
  if (!$('#writing')) list.append($('#writing-template').content.cloneNode(true));
  list.append($('#writing'));
  number();
  const have = Number(resume.split(':')[1]);
  run = { id, url, have, cut: have - points($('#tail').textContent).length, controller: new AbortController() };
  listen(run);
  reach(active());
}

async function listen(current) {
  const { controller } = current;
  try {
    await follow({
      url: () => `${current.url}/stream?after=${current.id}:${current.have}:${current.cut}`,
      on: (type, data) => current === run && heard(type, data),
      fault: (error) => {
        reportError(error);
        message('fault', texts.page_fault, [{ text: texts.reload, act: () => location.reload() }]);
      },
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
  else if (type === 'state') changed(data.state);
  else if (type === 'candidates') {
    if (data.count > bar().querySelectorAll('.cand:not(.pending)').length) say(fill(texts.candidate, { number: data.count }));
    look(run.url, showTail);
  } else if (type === 'done') return false;
  return true;
}

/** Another state than the page shows: the bar comes anew. What waits is shown as it stands. */
function changed(state) {
  run.state = state;
  if (bar().dataset.runState !== state) {
    look(run.url, showTail);
    const choices = bar().querySelectorAll('.cand:not(.pending)').length;
    if (state === 'waiting') say('choosing' in bar().dataset ? fill(texts.choose, { number: choices }) : texts.waits);
  }
  showTail();
}

/** The text that is no segment yet; without any it takes no room while nobody writes it. */
function showTail() {
  if (!run) return;
  const waits = run.state === 'waiting';
  const place = $('#writing');
  place.dataset.state = waits ? 'paused' : 'writing';
  place.hidden = !$('#tail').textContent && (waits || 'choosing' in bar().dataset);
  $('#tail').setAttribute('aria-busy', String(!waits));
}

/** Text goes in as text, and only what is not there yet. */
function write({ start, text }) {
  const fresh = points(text).slice(Math.max(0, run.have - start));
  if (!fresh.length) return;
  $('#tail').append(fresh.join(''));
  showTail();
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
  showTail();
  number();
  refilter();
  look(run.url, showTail);
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

async function ended() {
  const { url, state } = run;
  run = null;
  await refresh(url);
  // A correction has begun another one meanwhile: what is being written now is its text.
  if (run) return;
  const tail = $('#tail');
  if (!tail?.textContent || FINAL.has(state)) $('#writing')?.remove();
  refilter();
  say({ done: texts.done, failed: texts.failed, cancelled: texts.stopped }[state] ?? '');
}

/** A browser has few connections for all its tabs: what waits is followed where somebody looks. */
function seen() {
  if (document.hidden && run?.state === 'waiting') {
    run.controller.abort();
    [paused, run] = [run, null];
  } else if (!document.hidden && paused) {
    run = { ...paused, state: undefined, controller: new AbortController() };
    paused = null;
    listen(run);
  }
}

export const watchRun = () => document.addEventListener('visibilitychange', seen);
