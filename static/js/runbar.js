/* The bar of the run: kept up to date, in its place, and what one does in it. */
import { $ } from './dom.js';
import { active, list, segments } from './segments.js';

const LOOK_MS = 400;
let timer = 0;
let asked; // {url, then}

export const bar = () => $('#run');

/** The run bar belongs under the segment that the run continued from. */
export const placeRun = (anchor) => anchor.after(bar());

/** Ask the server for the bar and the counts, at most a few times a second. */
export function look(url, then) {
  asked = { url, then };
  timer ||= setTimeout(async () => {
    timer = 0;
    const last = asked;
    if (bar().dataset.url !== last.url) return;
    await refresh(last.url);
    last.then();
  }, LOOK_MS);
}

/** The bar anew; who had the focus in it has it again. */
export async function refresh(url) {
  const focused = bar().contains(document.activeElement) ? document.activeElement.id : '';
  await htmx.ajax('GET', url, { target: '#run', swap: 'outerHTML' });
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  reach(active());
}

/** A run that waits goes on when its reader comes to the last segment but one. */
export function reach(segment) {
  const all = segments();
  if (segment && bar().dataset.runState === 'waiting' && all.indexOf(segment) >= all.length - 2) $('#write-on')?.click();
}

export function watchBar() {
  list.addEventListener('segment-active', ({ target }) => reach(target));
  list.addEventListener('click', ({ target }) => {
    const candidate = target.closest('.cand');
    if (candidate && !target.closest('button') && !getSelection().toString()) $('button', candidate)?.click();
  });
}
