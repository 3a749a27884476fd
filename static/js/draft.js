/*
  Text that is typed and not saved: sent to the server 800 ms after the last key, when the field is
  left and when the page goes; on this device from the first key on, until it is saved.
  A field: <textarea data-keep="URL">, or data-keep-here="KEY" when the server has no place for it.
*/
import { $, $$, fill, texts, work } from './dom.js';
import { confirm, drop, keep } from './kept.js';
import { message, withdraw } from './notices.js';

const WAIT_MS = 800;
const RETRY_MS = 5000;
const KEEPALIVE_BYTES = 60_000; // browsers refuse more than 64 KiB for all requests of a closing page
const fields = new Map(); // textarea -> {at, timer, sending}

const FIELD = 'textarea[data-keep], textarea[data-keep-here]';
const tab = (sessionStorage.tab ??= crypto.randomUUID?.() ?? String(Math.random()));
const keyOf = (area) => (area.dataset.keep ? `${area.dataset.keep}#${tab}` : area.dataset.keepHere);

/** Whether the field holds something else than what is saved for it. */
export const isDirty = (area) => area.value !== area.dataset.own;

export function status(state) {
  const box = $('#saved');
  if (!box || box.dataset.fixed) return;
  const time = new Date().toLocaleTimeString(document.documentElement.lang, { hour12: false });
  const words = { saving: texts.saving, kept: fill(texts.kept, { time }), saved: texts.saved, offline: texts.offline, refused: texts.refused };
  box.dataset.state = state;
  $('#saved-text').textContent = words[state];
  const use = $('use', box);
  use.setAttribute('href', use.getAttribute('href').replace(/#.*/, { saving: '#writing', offline: '#offline', refused: '#offline' }[state] ?? '#check'));
}

function typed(area) {
  const field = fields.get(area) ?? { timer: 0, sending: null };
  field.at = Date.now();
  fields.set(area, field);
  keep({ key: keyOf(area), url: area.dataset.keep ?? '', text: area.value, at: field.at });
  clearTimeout(field.timer);
  if (!area.dataset.keep) return status('kept');
  status('saving');
  field.timer = setTimeout(() => flush(area), WAIT_MS);
}

function request(area, at, more) {
  const url = area.dataset.keep;
  const reverted = !isDirty(area) && url.endsWith('/unsaved');
  if (reverted) return fetch(url, { method: 'DELETE', ...more });
  const body = JSON.stringify({ text: area.value, typed_at_ms: at });
  return fetch(url, { method: 'PUT', body, headers: { 'Content-Type': 'application/json', Accept: 'application/json' }, ...more });
}

async function send(area, field) {
  const { at } = field;
  let answer;
  try {
    answer = await request(area, at);
  } catch {
    return retry(area, field);
  }
  if (answer.status >= 500 || answer.status === 429) return retry(area, field);
  if (answer.status === 401) {
    if (!$('#notice [data-status="401"]')) message('login', texts.login, [{ text: texts.to_login, href: '/login' }]);
    return retry(area, field);
  }
  if (!answer.ok) {
    const problem = await answer.json().catch(() => ({}));
    message('refused', problem.detail ?? texts.lost);
    status('refused');
    return false;
  }
  withdraw('login', 'refused', 'lost', 'broken');
  $('#notice [data-status="401"]')?.remove();
  if (field.at !== at) return send(area, field); // typed on while it was sent
  fields.delete(area);
  if (area.matches('.note')) area.dataset.own = area.value; // a note has no Save of its own
  await (isDirty(area) ? confirm(keyOf(area), at) : drop(keyOf(area)));
  status('kept');
  return true;
}

function retry(area, field) {
  status('offline');
  clearTimeout(field.timer);
  field.timer = setTimeout(() => flush(area), RETRY_MS);
  return false;
}

/** Send what is typed now. True when the server has it all. */
export async function flush(area) {
  const field = fields.get(area);
  if (!field || !area.dataset.keep) return true;
  clearTimeout(field.timer);
  if (field.sending) await field.sending;
  if (fields.get(area) !== field) return true;
  field.sending = send(area, field);
  const kept = await field.sending;
  field.sending = null;
  return kept;
}

export const flushAll = () => Promise.all([...fields.keys()].map(flush));

/** The field is about to be saved: no more sending, no more typing. Resolves when nothing is under way. */
export async function quiet(area) {
  area.readOnly = true; // What was typed from now on would be lost.
  const field = fields.get(area);
  if (!field) return;
  clearTimeout(field.timer);
  await field.sending;
}

/** The save did not come through: go on keeping what is typed. */
export function resume(area) {
  area.readOnly = false;
  const field = fields.get(area);
  if (!field) return;
  clearTimeout(field.timer);
  field.timer = setTimeout(() => flush(area), WAIT_MS);
}

/** The field was saved (or given up): drop the copies. */
export function forget(area) {
  clearTimeout(fields.get(area)?.timer);
  fields.delete(area);
  drop(keyOf(area));
}

export function watchDrafts() {
  addEventListener('input', ({ target, isComposing }) => {
    if (!isComposing && target.matches(FIELD)) typed(target);
  });
  addEventListener('compositionend', ({ target }) => target.matches(FIELD) && typed(target));
  addEventListener('focusout', ({ target }) => target.matches?.(FIELD) && flush(target));
  addEventListener('online', flushAll);
  addEventListener('focus', () => fields.size && flushAll());
  document.addEventListener('visibilitychange', () => document.hidden && flushAll());
  addEventListener('pagehide', () => {
    for (const [area, field] of fields) {
      if (area.dataset.keep && area.value.length * 3 < KEEPALIVE_BYTES) request(area, field.at, { keepalive: true });
    }
  });
}

/** The open fields, and those of them that hold something else than what is saved. */
export const openFields = () => $$(FIELD, work);
export const dirtyFields = () => openFields().filter(isDirty);
