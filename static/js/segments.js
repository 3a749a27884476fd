/* The list of segments: which one is active, how one moves through it, what the filters show. */
import { $, $$, work } from './dom.js';
import { followTo } from './images.js';

export const list = $('#segs');
const UNREVIEWED = new Set(['untouched', 'new']);
const remembered = `segment-${work?.dataset.draft}`;
let filter = 'all';

export const segments = () => $$(':scope > .seg[data-id], :scope > .seg[data-insertion]', list);
export const active = () => $('.seg.active', list);
export const byId = (id) => document.getElementById(`s${id}`);
export const isTodo = (segment) => UNREVIEWED.has(segment.dataset.state);
const isShown = (segment) => segment.offsetParent !== null;

/** Make a segment the active one; focus goes to its text field, else to itself. */
export function activate(segment, { focus = true, scroll = 'nearest' } = {}) {
  if (!segment) return;
  const before = active();
  if (before !== segment) {
    before?.classList.remove('active');
    before?.removeAttribute('aria-current');
    segment.classList.add('active');
    segment.setAttribute('aria-current', 'true');
    if (segment.dataset.number) sessionStorage.setItem(remembered, segment.dataset.number);
    segment.dispatchEvent(new CustomEvent('segment-active', { bubbles: true, detail: { before } }));
  }
  document.body.dataset.mode = $('form.editor', segment) ? 'editing' : 'reading';
  if (focus) ($('textarea', segment) ?? segment).focus({ preventScroll: true });
  if (scroll) segment.scrollIntoView({ block: scroll });
  followTo(segment.dataset.image);
}

/** Go `step` segments on; todo: to the next one that nobody has reviewed. False at the end. */
export function move(step, { todo = false, from = active() } = {}) {
  const all = segments().filter(isShown);
  let at = from ? all.indexOf(from) : -1;
  do at += step; while (todo && all[at] && !isTodo(all[at]));
  if (!all[at]) return false;
  activate(all[at]);
  return true;
}

/** After a verdict: to the next segment to do, from the beginning again when none follows. */
export function goOn(from) {
  if (move(1, { todo: true, from })) return;
  const first = segments().find((segment) => isShown(segment) && isTodo(segment));
  activate(first ?? from);
}

function setFilter(name) {
  filter = name;
  list.dataset.filter = name;
  for (const button of $$('.fbtn')) button.setAttribute('aria-pressed', String(button.dataset.filter === name));
  $('#nothing').hidden = segments().some(isShown);
}

/** The filters came anew from the server: press the right one again. */
export const refilter = () => setFilter(filter);

export const segmentActions = {
  next: () => move(1),
  previous: () => move(-1),
  'next-todo': () => move(1, { todo: true }),
  'previous-todo': () => move(-1, { todo: true }),
};

export function watchSegments() {
  $('#filters').addEventListener('click', (event) => {
    const button = event.target.closest('.fbtn');
    if (button) setFilter(button.dataset.filter);
  });
  list.addEventListener('click', (event) => {
    const segment = event.target.closest('.seg');
    if (!segment || segment.id === 'writing' || event.target.closest('a, button, textarea, select, summary, label')) return;
    if (!getSelection().toString()) activate(segment, { focus: !$('textarea', segment), scroll: null });
  });
  list.addEventListener('focusin', (event) => {
    const segment = event.target.closest('.seg[data-id], .seg[data-insertion]');
    if (segment && segment !== active()) activate(segment, { focus: false, scroll: null });
  });
}

/** The segment to begin with: the one in the address, the last one before a reload, the first to do. */
export function begin() {
  const named = location.hash.match(/^#(?:s|edit-)(\d+)$/);
  const number = sessionStorage.getItem(remembered);
  const last = segments().find((each) => each.dataset.number === number);
  const segment = (named && byId(named[1])) ?? last ?? segments().find(isTodo) ?? segments()[0];
  activate(segment, { scroll: named ? 'start' : 'nearest' });
}

export const readOnly = () => 'readOnly' in work.dataset;
