/* What the window shows: the splitter, Changes or Final text, the details drawer, the help sheet. */
import { $, $$, work } from './dom.js';
import { flush } from './draft.js';
import { refit } from './images.js';
import { remember } from './preferences.js';
import { active, list } from './segments.js';

const LEAST = 25;
const MOST = 65;
const DETAILS_MS = 200;
let detailsTimer;

function splitter() {
  const bar = $('#splitter');
  if (!bar) return;
  const set = (value) => {
    const share = Math.round(Math.min(MOST, Math.max(LEAST, value)));
    work.dataset.split = share;
    bar.setAttribute('aria-valuenow', String(share));
    refit();
  };
  const now = () => Number(bar.getAttribute('aria-valuenow'));
  const keep = () => document.body.dataset.mode !== 'comparing' && remember({ split: now() });
  bar.addEventListener('pointerdown', (event) => {
    bar.setPointerCapture(event.pointerId);
    const drag = (moved) => set(((moved.clientX - work.getBoundingClientRect().left) / work.clientWidth) * 100);
    bar.addEventListener('pointermove', drag);
    bar.addEventListener('lostpointercapture', () => {
      bar.removeEventListener('pointermove', drag);
      keep();
    }, { once: true });
  });
  bar.addEventListener('keydown', (event) => {
    const to = { ArrowLeft: now() - 2, ArrowRight: now() + 2, Home: LEAST, End: MOST }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    set(to);
    keep();
  });
}

function setView(name) {
  document.body.dataset.view = name;
  for (const button of $$('[data-set-view]')) button.setAttribute('aria-pressed', String(button.dataset.setView === name));
  remember({ view: name });
}

function toggleUnderline() {
  const on = document.body.dataset.underline !== 'on';
  document.body.dataset.underline = on ? 'on' : 'off';
  $('#underline').setAttribute('aria-pressed', String(on));
  remember({ underline: on });
}

const detailsShown = () => getComputedStyle($('#details')).display !== 'none';

/** Show the history of the active segment, when the rail is open; a note that is typed goes first. */
export function showDetails() {
  clearTimeout(detailsTimer);
  const segment = active();
  if (!segment?.dataset.id || !$('#details') || !detailsShown()) return;
  detailsTimer = setTimeout(async () => {
    const note = $('#history textarea.note');
    if (note && !(await flush(note))) return;
    if (!segment.isConnected) return;
    htmx.ajax('GET', `/drafts/${work.dataset.draft}/segments/${segment.dataset.id}/history`, { target: '#history', swap: 'innerHTML' });
  }, DETAILS_MS);
}

function toggleDetails(open = !document.body.classList.contains('details-open')) {
  document.body.classList.toggle('details-open', open);
  $('#details-toggle').setAttribute('aria-expanded', String(open));
  $('#details-toggle').setAttribute('aria-pressed', String(open));
  if (open) showDetails();
}

export function help() {
  const dialog = $('#help');
  if (!dialog.open) dialog.showModal();
}

export const paneActions = {
  history: () => toggleDetails(),
  view: () => setView(document.body.dataset.view === 'final' ? 'changes' : 'final'),
  underline: toggleUnderline,
  help,
};

/** Close the drawer; false when it was not open. */
export function closeDetails() {
  if (!document.body.classList.contains('details-open')) return false;
  toggleDetails(false);
  return true;
}

export function watchPanes() {
  splitter();
  addEventListener('click', (event) => {
    const button = event.target.closest('[data-set-view]');
    if (button) setView(button.dataset.setView);
  });
  $('#letters').addEventListener('change', (event) => {
    document.body.dataset.letters = event.target.checked ? 'on' : 'off';
    remember({ letters: event.target.checked });
  });
  list?.addEventListener('segment-active', showDetails);
  addEventListener('draft-changed', () => setTimeout(showDetails));
}
