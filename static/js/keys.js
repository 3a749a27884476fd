/*
  The keyboard. One table, rendered by the server, holds keys, scope and action; this maps a key
  event to a row of it. scope "edit" works while typing too, the others outside text fields only.
*/
import { $, $$ } from './dom.js';

const MAC = /Mac|iPhone|iPad/.test(navigator.userAgentData?.platform ?? navigator.platform);
const table = JSON.parse($('#key-table').textContent);
// Held down, a key moves on and on; anything else it does once.
const REPEATS = /^(next|previous|zoom)/;

/** The name of a key event as the table writes it: Mod+Alt+Shift+Key. */
function nameOf(event) {
  const printable = event.key.length === 1;
  const mod = MAC ? event.metaKey : event.ctrlKey;
  const other = MAC ? event.ctrlKey : event.metaKey;
  const parts = [];
  if (mod) parts.push('Mod');
  if (other) parts.push('Ctrl');
  if (event.altKey) parts.push('Alt');
  if (event.shiftKey && !printable) parts.push('Shift');
  parts.push(printable ? event.key.toLowerCase() : event.key);
  return parts.join('+');
}

/** Handle keys of these scopes with these actions. */
export function watchKeys(scopes, actions) {
  const rows = table.filter((row) => scopes.includes(row.scope) && actions[row.action]);
  addEventListener('keydown', (event) => {
    // Input methods first: Enter or Escape there choose a character.
    if (event.isComposing || event.keyCode === 229 || event.defaultPrevented) return;
    if ($('dialog[open]')) return;
    const { target } = event;
    const typing = target.closest?.('textarea, select, [contenteditable], input:not([type="checkbox"], [type="radio"])');
    const pressing = target.closest?.('a, button, summary, [role="button"]') && ['Enter', ' '].includes(event.key);
    const name = nameOf(event);
    const letter = event.key.length === 1 && !event.ctrlKey && !event.metaKey && !event.altKey;
    if (letter && event.key !== '?' && document.body.dataset.letters === 'off') return;
    const row = rows.find(({ keys, scope }) => keys.includes(name) && (scope === 'edit' || !(typing || pressing)));
    if (!row) return;
    event.preventDefault();
    if (!event.repeat || REPEATS.test(row.action)) actions[row.action](event.key);
  });
  // Buttons do the same as keys.
  addEventListener('click', (event) => {
    const button = event.target.closest('[data-act]');
    // Links and buttons that send a request act by themselves; those of a segment know which one.
    const act = button && !button.matches('a, [hx-delete], [hx-post]') && !button.closest('.seg') && actions[button.dataset.act];
    if (act) act();
  });
  if (MAC) for (const key of $$('kbd')) key.textContent = { Ctrl: '⌘', Alt: '⌥' }[key.textContent] ?? key.textContent;
}
