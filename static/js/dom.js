/* Finding elements, the translated sentences, and what a screen reader is told. */

export const $ = (selector, root = document) => root.querySelector(selector);
export const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

const source = $('#texts');
export const texts = source ? JSON.parse(source.textContent) : {};

/** A sentence with its {names} filled in. */
export const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);

/** Say it to screen readers, politely. */
export function say(text) {
  const place = $('#announce');
  if (place) place.textContent = text;
}

/** The element that holds the draft's id, version and settings. */
export const work = $('#work');

/** Code points of a text: the server counts in these, JavaScript's length does not. */
export const points = (text) => [...text];
