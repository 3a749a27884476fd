/*
  What the server answers to a change. Every change carries the version that the page shows
  (base_version) and waits until typed text is kept; the event `draft-changed` tells what came of it.
*/
import { $, work } from './dom.js';
import { dirtyFields, flush, forget, openFields, quiet, resume, status } from './draft.js';
import { readyEditors } from './editor.js';
import { withdraw } from './notices.js';
import { lookForChanges } from './restore.js';
import { startRun } from './run.js';
import { placeRun } from './runbar.js';
import { activate, active, byId, goOn, list, refilter, segments } from './segments.js';

const TOAST_MS = 8000;
let toastTimer;

/** Whether a request changes the draft; the live comparison is a POST that changes nothing. */
const changesDraft = ({ request, sourceElement }) =>
  request.method !== 'GET' && !request.action.endsWith('/diff') && sourceElement.closest('.work, .top, #undo-form');

function beforeRequest(event) {
  const { ctx } = event.detail;
  const { request, sourceElement } = ctx;
  if (!changesDraft(ctx)) return;
  if ('sending' in sourceElement.dataset && sourceElement.id !== 'undo-form') return event.preventDefault(); // pressed twice
  sourceElement.dataset.sending = '';
  const saved = sourceElement.matches('form.editor') && request.submitter?.closest('.eacts') ? $('textarea.prose', sourceElement) : null;
  const stilled = saved && quiet(saved);
  const card = sourceElement.closest('form.editor');
  ctx.fetch = async (address, options) => {
    await stilled;
    // Cards that the answer may replace: what is typed in them must be with the server by then.
    const replaced = saved || ctx.target === list ? openFields() : card ? [$('textarea.prose', card)] : [];
    const kept = await Promise.all(replaced.filter((area) => area !== saved).map(flush));
    if (kept.includes(false)) throw new Error('Typed text could not be kept.');
    // Changes go one after the other (hx-sync), each with the version that the one before left.
    if (options.body) options.body.set('base_version', work.dataset.version);
    return fetch(address, options);
  };
}

function finished({ detail }) {
  const { sourceElement, response } = detail.ctx;
  if (sourceElement?.dataset) delete sourceElement.dataset.sending;
  const area = sourceElement?.matches?.('form.editor') && $('textarea.prose', sourceElement);
  if (area && !(response?.status < 300)) resume(area);
  if (response?.status === 409) lookForChanges();
}

function answered({ detail }) {
  const { sourceElement, response } = detail.ctx;
  if (response.status === 401) withdraw('login');
  if (response.status < 300 && sourceElement.matches?.('form.editor')) forget($('textarea.prose', sourceElement));
}

/** What the new run displaces leaves the page; text that was typed there goes to the server first. */
async function cutAfter(segment) {
  const later = [];
  for (let next = segment.nextElementSibling; next; next = next.nextElementSibling) later.push(next);
  const typed = dirtyFields();
  const aside = [];
  for (const element of later) {
    if (element.id === 'run') continue;
    const area = $('textarea.prose', element);
    if (area && typed.includes(area)) aside.push(flush(area));
    element.remove();
  }
  if (!aside.length) return;
  await Promise.all(aside);
  htmx.ajax('GET', `/drafts/${work.dataset.draft}/unsaved`, { target: '#orphans', swap: 'innerHTML' });
}

function changed({ detail }) {
  const { version, segment: id, cut, listed, go } = detail;
  work.dataset.version = version;
  status('saved');
  const segment = id ? byId(id) : null;
  if (listed) startRun();
  if (cut) {
    cutAfter(segment);
    placeRun(segment);
    startRun();
    activate(segment, { scroll: 'start' });
  } else if (segment) {
    if (go !== 'next') activate(segment);
    else if (!active()) goOn(segment);
  } else if (!active()) {
    activate(nearest());
  }
  refilter();
}

/** After a list came anew: the segment that stands where the active one stood. */
let place = 0;
const nearest = () => segments()[Math.min(place, segments().length - 1)];

/** Finish stands out when nothing is left, and asks when something is. */
function showFinish() {
  const form = $('#finish-form');
  if (!form) return;
  const left = $('#filter-todo .k')?.textContent !== '0';
  $('#finish').classList.toggle('primary', !left && !('resume' in ($('#run')?.dataset ?? {})));
  form.toggleAttribute('hx-confirm', left);
  if (left) form.setAttribute('hx-confirm', form.dataset.ask);
}

function swapped() {
  refilter();
  readyEditors();
  showToast();
  showFinish();
}

function showToast() {
  const box = $('#toast .toast-box:not([data-seen])');
  if (!box) return;
  box.dataset.seen = '';
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => box.remove(), TOAST_MS);
}

export function watchChanges() {
  addEventListener('htmx:config:request', beforeRequest);
  addEventListener('htmx:after:request', answered);
  addEventListener('htmx:finally:request', finished);
  addEventListener('htmx:before:swap', () => {
    if (active()) place = segments().indexOf(active());
  });
  addEventListener('htmx:after:swap', swapped);
  addEventListener('draft-changed', changed);
  showFinish();
}
