/* The list of segments: which one is active, how one moves through it, what the filters show. */
import { $, $$, work } from './dom.js';
import { followTo } from './images.js';
import { UNREVIEWED, arrange, firstBehind, leastSureFirst, placeOf } from './order.js';

export const list = $('#segs');
const LEAST_SURE = 'unsure';
const remembered = `segment-${work?.dataset.draft}`;
let filter = 'all';
let place; // of the active segment, as it was when it became that

/** The segments in the order in which they are shown. */
export function segments() {
  const all = $$(':scope > .seg[data-id], :scope > .seg[data-insertion]', list);
  return filter === LEAST_SURE ? leastSureFirst(all) : all;
}
export const active = () => $('.seg.active', list);
export const byId = (id) => document.getElementById(`s${id}`);
export const isTodo = ({ dataset }) => UNREVIEWED.has(dataset.state) && !('accepting' in dataset);
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
    // A segment that comes back with its verdict is where it was: one goes on from there.
    if (String(place?.number) !== segment.dataset.number) place = placeOf(segment);
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
  if (filter === LEAST_SURE) {
    refilter(); // The one that has its verdict now stands among the others.
    const todo = segments().filter(isTodo);
    return activate(firstBehind(place, todo) ?? todo[0] ?? from);
  }
  if (move(1, { todo: true, from })) return;
  const first = segments().find((segment) => isShown(segment) && isTodo(segment));
  activate(first ?? from);
}

function setFilter(name) {
  filter = name;
  list.dataset.filter = name;
  for (const button of $$('.fbtn')) button.setAttribute('aria-pressed', String(button.dataset.filter === name));
  arrange(list, name === LEAST_SURE ? segments() : null);
  $('#nothing').hidden = segments().some(isShown);
}

/** The filters came anew from the server: press the right one again, if it is still among them. */
export const refilter = () => setFilter($(`#filter-${filter}`) ? filter : 'all');

/** What somebody has chosen. Least sure first begins with the first; leaving it stays with the segment. */
function chooseFilter(name, { focus = false } = {}) {
  const sorts = [filter, name].includes(LEAST_SURE) && filter !== name;
  setFilter(name);
  const segment = name === LEAST_SURE ? segments()[0] : active();
  if (!sorts || !segment) return;
  activate(segment, { focus });
  place = placeOf(segment);
}

export const segmentActions = {
  next: () => move(1),
  previous: () => move(-1),
  'next-todo': () => move(1, { todo: true }) || offerTheEnd(),
  'previous-todo': () => move(-1, { todo: true }),
  'least-sure': () => $('#filter-unsure') && chooseFilter(filter === LEAST_SURE ? 'all' : LEAST_SURE, { focus: true }),
};

export function watchSegments() {
  $('#filters').addEventListener('click', (event) => {
    const button = event.target.closest('.fbtn');
    if (button) chooseFilter(button.dataset.filter);
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

/** Nothing is left to do: on to Finish, and from a finished text to the next task. */
function offerTheEnd() {
  if ($('#filter-todo .k')?.textContent === '0') ($('#finish') ?? $('#next-task'))?.focus();
}

/**
  The segment to begin with: the one in the address, the last one before a reload, the first to do.
  When all are done one goes on at the end, with what the run offers there; a finished text is read from its beginning.
*/
export function begin() {
  const named = location.hash.match(/^#(?:s|edit-)(\d+)$/);
  const number = sessionStorage.getItem(remembered);
  const last = segments().find((each) => each.dataset.number === number);
  const segment = (named && byId(named[1])) ?? last ?? segments().find(isTodo) ?? segments().at(readOnly() ? 0 : -1);
  activate(segment, { scroll: named ? 'start' : 'nearest' });
}

export const readOnly = () => 'readOnly' in work.dataset;
