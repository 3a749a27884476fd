/* The editing card: opening, closing, saving, resetting, splitting, and the live comparison. */
import { $, $$, points, texts } from './dom.js';
import { flush, forget, isDirty } from './draft.js';
import { message } from './notices.js';
import { offerOthers } from './restore.js';
import { activate, active, goOn, list, readOnly } from './segments.js';

const COMPARE_MS = 300;
const timers = new WeakMap();

export const formOf = (segment) => segment && $('form.editor', segment);
const areaOf = (form) => $('textarea.prose', form);

/** Open the card of a segment, or put the caret into it. */
export function edit(segment = active()) {
  if (!segment || readOnly()) return;
  const form = formOf(segment);
  if (form) areaOf(form).focus();
  else $('[data-act="edit"]', segment)?.click();
}

/** A card has come from the server: make it the active one, caret at the end. */
export function readyEditors() {
  for (const form of $$('form.editor:not([data-ready])', list)) {
    form.dataset.ready = '';
    const area = areaOf(form);
    activate(form.closest('.seg'));
    area.setSelectionRange(area.value.length, area.value.length);
    if (area.dataset.keep) offerOthers(area, (text) => replaceText(area, text));
  }
}

/** Close the card. What is typed stays: with the server, or for a new segment on this device. */
export async function close(segment) {
  const form = formOf(segment);
  if (!form) return;
  const area = areaOf(form);
  if (segment.dataset.insertion) {
    if (!area.value) forget(area);
    const neighbour = segment.nextElementSibling?.matches('.seg') ? segment.nextElementSibling : segment.previousElementSibling;
    segment.remove();
    activate(neighbour?.closest('.seg'));
    return;
  }
  if (isDirty(area) && !(await flush(area))) return;
  const back = segment === active();
  await htmx.ajax('GET', form.action.replace(/\/correction$/, ''), { target: segment, swap: 'outerHTML' });
  if (back) activate(document.getElementById(segment.id));
}

/** Cards in which nothing was typed close when one moves on; the others stay open. */
function closeClean(segment) {
  const form = formOf(segment);
  if (!form || !segment.isConnected || 'accepting' in segment.dataset) return;
  if (!isDirty(areaOf(form)) && !form.classList.contains('htmx-request')) close(segment);
}

/** Save: text that nobody changed is accepted, never sent. */
export function save(mode, segment = active()) {
  const form = formOf(segment);
  if (!form) {
    const button = segment && $('[data-act="accept"]', segment);
    return button ? button.click() : goOn(segment);
  }
  if (!segment.dataset.insertion && !isDirty(areaOf(form))) return $('[data-act="accept"]', form).click();
  form.requestSubmit($(`.eacts button[name="mode"][value="${mode}"]`, form));
}

/** Replace the whole text so that Ctrl+Z brings the old one back. */
export function replaceText(area, text) {
  area.focus();
  area.select();
  if (text) document.execCommand('insertText', false, text);
  else document.execCommand('delete');
}

function split(form) {
  const area = areaOf(form);
  if (isDirty(area)) return message('split', texts.split_first);
  form.elements.at.value = points(area.value.slice(0, area.selectionStart)).length;
  htmx.trigger($('[data-act="split"]', form), 'divide');
}

export const editorActions = {
  edit: () => edit(),
  save: () => save('continue'),
  'save-only': () => save('keep'),
  'keep-now': () => {
    const form = formOf(active());
    if (form) flush(areaOf(form));
  },
  accept: () => {
    const segment = active();
    if (segment && !formOf(segment)) $('[data-act="accept"]', segment)?.click();
  },
};

export function watchEditors() {
  list.addEventListener('submit', (event) => {
    const { target: form, submitter } = event;
    if (!form.matches('form.editor') || !submitter?.closest('.eacts') || submitter.dataset.act === 'accept') return;
    const segment = form.closest('.seg');
    if (segment.dataset.insertion || isDirty(areaOf(form))) return;
    event.preventDefault();
    event.stopPropagation();
    $('[data-act="accept"]', form).click();
  }, true);

  list.addEventListener('click', (event) => {
    const button = event.target.closest('.editor [data-act]');
    if (!button) return;
    const form = button.closest('form');
    const act = {
      reset: () => replaceText(areaOf(form), areaOf(form).dataset.base),
      split: () => split(form),
      close: () => close(form.closest('.seg')),
    }[button.dataset.act];
    act?.();
  });

  const compare = ({ target, isComposing }) => {
    const place = !isComposing && target.matches('.editor textarea.prose') && $('[hx-trigger="typed"]', target.form);
    if (!place) return;
    clearTimeout(timers.get(target));
    timers.set(target, setTimeout(() => place.isConnected && htmx.trigger(place, 'typed'), COMPARE_MS));
  };
  list.addEventListener('input', compare);
  list.addEventListener('compositionend', compare);
  list.addEventListener('segment-active', ({ detail }) => detail.before && closeClean(detail.before));
}
