/*
  Bringing typed text back: what this device kept and the server does not have, the two versions of
  a conflict, and a look whether another tab has changed the draft.
*/
import { $, texts, work } from './dom.js';
import { flush, flushAll, forget } from './draft.js';
import { drop, keep, keptUnder } from './kept.js';
import { message } from './notices.js';
import { byId, readOnly } from './segments.js';

const FORGOTTEN_MS = 30 * 24 * 3600 * 1000;
const base = () => `/drafts/${work.dataset.draft}`;

/** Give the server what this device kept for the draft; then show it where it belongs. */
export async function restoreDrafts() {
  if (readOnly()) return;
  let restored = false;
  for (const record of await keptUnder(`${base()}/`)) {
    const { key, url, text, at, confirmed } = record;
    if (at < Date.now() - FORGOTTEN_MS) await drop(key);
    if (confirmed) continue;
    const body = JSON.stringify({ text, typed_at_ms: at });
    const answer = await fetch(url, { method: 'PUT', body, headers: { 'Content-Type': 'application/json' } }).catch(() => null);
    if (!answer?.ok) continue;
    await keep({ ...record, confirmed: true });
    restored ||= url.endsWith('/unsaved') && (await answer.json()).kept_at !== null;
    const segment = byId(url.match(/segments\/(\d+)\//)[1]);
    if (segment && !$('form.editor', segment)) {
      const active = segment.classList.contains('active');
      await htmx.ajax('GET', url.replace(/\/\w+$/, ''), { target: segment, swap: 'outerHTML' });
      if (active) byId(segment.dataset.id).classList.add('active');
    } else if (!segment) {
      await htmx.ajax('GET', `${base()}/unsaved`, { target: '#orphans', swap: 'innerHTML' });
    }
  }
  if (restored) message('restored', texts.restored);
  for (const record of await keptUnder(`insertion-${work.dataset.draft}-`)) offerInsertion(record);
}

/** Another text that was typed for this field, in another tab: offered, never dropped unseen. */
export async function offerOthers(area, put) {
  for (const { key, text } of await keptUnder(`${area.dataset.keep}#`)) {
    if (text === area.value || text === area.dataset.own) await drop(key);
    else {
      message(key, texts.another, [
        { text: texts.put, act: () => drop(key).then(() => put(text)) },
        { text: texts.discard, act: () => drop(key) },
      ]);
    }
  }
}

/** A new segment that was being written: its text has no place on the server yet. */
export function offerInsertion({ key, text }) {
  const [, side, id] = key.match(/-(before|after)(\d+)$/);
  const open = async () => {
    const neighbour = byId(id) ?? $('#segs > .seg[data-id]:last-of-type');
    const url = `${base()}/segments/${neighbour.dataset.id}/insertion?side=${side}`;
    await htmx.ajax('GET', url, { target: neighbour, swap: side === 'before' ? 'beforebegin' : 'afterend' });
    const area = document.activeElement;
    area.value = text;
    if (area.dataset.keepHere !== key) await drop(key);
    area.dispatchEvent(new InputEvent('input', { bubbles: true }));
  };
  message(key, texts.insertion, [
    { text: texts.open, act: open },
    { text: texts.discard, act: () => drop(key) },
  ]);
}

/** Reload, with typed text kept first; edit: the segment whose card opens afterwards. */
async function reload(edit) {
  history.replaceState(null, '', edit ? `#edit-${edit}` : location.pathname);
  location.reload();
}

async function keepMine(notice) {
  const id = notice.dataset.conflict;
  const area = $('.seg[data-state="editing"] textarea.prose');
  if (id && area) {
    const body = JSON.stringify({ text: area.value, typed_at_ms: Date.now() });
    const answer = await fetch(`${base()}/segments/${id}/unsaved`, { method: 'PUT', body, headers: { 'Content-Type': 'application/json' } });
    if (!answer.ok) return message('lost', texts.lost);
    forget(area);
  }
  return reload(id);
}

async function useTheirs(notice) {
  const id = notice.dataset.conflict;
  const area = $('.seg[data-state="editing"] textarea.prose');
  if (area) forget(area);
  if (id) await fetch(`${base()}/segments/${id}/unsaved`, { method: 'DELETE' });
  return reload();
}

export function watchConflicts() {
  $('#notice').addEventListener('click', (event) => {
    const act = event.target.closest('[data-act]')?.dataset.act;
    const notice = event.target.closest('.notice');
    if (act === 'both') {
      const both = $('#both');
      both.hidden = !both.hidden;
      event.target.closest('button').setAttribute('aria-expanded', String(!both.hidden));
    } else if (act === 'keep-mine') keepMine(notice);
    else if (act === 'use-theirs') useTheirs(notice);
    else if (act === 'reload') reload();
  });
  $('#orphans').addEventListener('click', async (event) => {
    if (event.target.closest('[data-act="copy"]')) {
      const area = $('textarea', event.target.closest('.orphan'));
      await navigator.clipboard?.writeText(area.value).catch(() => area.select());
      event.target.textContent = texts.copied;
    }
  });
}

/** How the draft stands on the server; what cannot be asked has not changed. */
async function standing() {
  const answer = await fetch(`${base()}/version`, { headers: { Accept: 'application/json' }, cache: 'no-store' }).catch(() => null);
  const { version = 0, archived = false } = answer?.ok ? await answer.json() : {};
  return { behind: version > Number(work.dataset.version), archived };
}

/** Has another tab changed the draft, or an admin archived it? The page says so and offers to reload. */
export async function lookForChanges() {
  const { behind, archived } = await standing();
  if (archived && !readOnly()) message('archived', texts.archived, [{ text: texts.reload, act: () => flushAll().then(() => reload()) }]);
  if (!behind || $('#notice [data-conflict]')) return;
  message('elsewhere', texts.elsewhere, [{ text: texts.reload, act: async () => {
    const area = $('.seg.active textarea.prose');
    if (area) await flush(area);
    reload(area ? $('.seg.active').dataset.id : '');
  } }]);
}

export function watchOtherTabs() {
  document.addEventListener('visibilitychange', () => document.hidden || lookForChanges());
  addEventListener('focus', lookForChanges);
  // A page that the browser had put away is old, and its stream is dead.
  addEventListener('pageshow', (event) => event.persisted && location.reload());
  // Going back or forward to it shows the page as it was sent once, without what was done on it.
  if (performance.getEntriesByType('navigation')[0]?.type === 'back_forward') {
    standing().then(({ behind }) => behind && location.reload());
  }
}
