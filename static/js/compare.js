/* Compare: two continuations, decided with the keyboard or the mouse. */
import { $, $$ } from './dom.js';
import { followTo, imageActions, watchImages } from './images.js';
import { watchKeys } from './keys.js';
import { help, watchPanes } from './panes.js';

const rows = $$('.crow[tabindex]');

function go(step) {
  const at = rows.indexOf(document.activeElement.closest('.crow'));
  const row = rows[Math.max(0, Math.min(rows.length - 1, at + step))];
  row?.focus({ preventScroll: true });
  row?.scrollIntoView({ block: 'nearest' });
}

watchImages();
watchPanes();
watchKeys(['compare', 'page'], {
  ...imageActions,
  help,
  'keep-run': () => $('#keep-run').click(),
  'restore-run': () => $('#restore-run')?.requestSubmit(),
  'next-row': () => go(1),
  'previous-row': () => go(-1),
  back: () => $('#back').click(),
});
followTo($('#compared').dataset.image);
addEventListener('focusin', ({ target }) => followTo(target.closest?.('.crow')?.dataset.image));
