/* The workspace put together. */
import { $ } from './dom.js';
import { watchAcceptances } from './ahead.js';
import { watchChanges } from './changes.js';
import { watchDrafts } from './draft.js';
import { close, edit, editorActions, formOf, replaceText, watchEditors } from './editor.js';
import { imageActions, watchImages } from './images.js';
import { watchKeys } from './keys.js';
import { watchFailures, watchQuestions } from './notices.js';
import { closeDetails, paneActions, watchPanes } from './panes.js';
import { restoreDrafts, watchConflicts, watchOtherTabs } from './restore.js';
import { startRun, watchRun } from './run.js';
import { watchBar } from './runbar.js';
import { active, begin, readOnly, segmentActions, watchSegments } from './segments.js';

const actions = {
  ...segmentActions,
  ...editorActions,
  ...imageActions,
  ...paneActions,
  leave() {
    const segment = active();
    if (document.activeElement?.matches('textarea, select')) segment?.focus();
    else if (closeDetails()) segment?.focus();
    else if (formOf(segment)) close(segment);
  },
  undo: () => readOnly() || $('#undo-form').requestSubmit(),
  stop: () => $('#stop')?.click(),
  'write-on': () => ($('#write-on') ?? $('#again'))?.click(),
  choose: (key) => $(`#choose-${key}`)?.click(),
  compare: () => $('.old [data-act="compare"]')?.click(),
  'take-version': () => {},
};

watchImages();
watchSegments();
watchBar();
watchRun();
watchEditors();
watchDrafts();
watchPanes();
watchChanges();
watchAcceptances();
watchFailures();
watchQuestions();
watchConflicts();
watchOtherTabs();
watchKeys(['edit', 'page'], actions);

// In the list the buttons of a segment speak of that segment, active or not.
$('#segs').addEventListener('click', (event) => {
  if (event.target.closest('[data-act="history"]')) actions.history();
});

// An older version goes into the editor, where it can be looked at before it is saved.
$('#details').addEventListener('click', async (event) => {
  const button = event.target.closest('[data-act="take-version"]');
  if (!button) return;
  const text = $('.prose', button.closest('details')).textContent;
  const segment = active();
  if (!formOf(segment)) {
    const opened = new Promise((resolve) => addEventListener('htmx:after:swap', resolve, { once: true }));
    edit(segment);
    await opened;
  }
  replaceText($('form.editor textarea.prose', active()), text);
});

begin();
startRun();
restoreDrafts().then(() => {
  // A card that was open when the page went opens again, with the text that was typed.
  if (location.hash.startsWith('#edit-') || $('.seg.active .unsaved')) edit();
});
