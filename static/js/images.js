/* The image pane: which image is shown, whether it follows the segment, the thumbnails. */
import { $, $$, fill } from './dom.js';
import { remember } from './preferences.js';
import { viewer } from './viewer.js';

const film = $('#film');
const big = $('#big');
const stage = $('#stage');
const zoomed = $('#zoom');
const position = $('#position');
const view = stage && viewer(stage, big, (zoom) => {
  zoomed.textContent = zoom < 1.005 ? zoomed.dataset.fit : `${Math.round(zoom * 100)} %`;
});
let shown = -1;
let following = $('#follow')?.getAttribute('aria-pressed') === 'true';

const thumb = (index) => $(`.th[data-image="${index}"]`, film);

/** Show an image by its 0-based index; an index outside is ignored. */
export function show(index, { focus = false } = {}) {
  const button = film && thumb(index);
  if (!button) return;
  if (index !== shown) {
    shown = index;
    const [width, height] = button.dataset.size.split(' ').map(Number);
    const base = `/images/${button.dataset.sha}`;
    big.width = width;
    big.height = height;
    big.srcset = `${base}/960.webp 960w, ${base}/1920.webp 1920w`;
    big.src = `${base}/960.webp`;
    big.alt = fill(big.dataset.alt, { number: index + 1 });
    stage.classList.toggle('tall', height > width);
    view.fit();
    const [before, after] = fill(position.dataset.text, { number: '\0', total: film.children.length }).split('\0');
    const number = document.createElement('b');
    number.textContent = index + 1;
    position.replaceChildren(before, number, after);
    for (const each of $$('.th', film)) {
      each.toggleAttribute('aria-current', false);
      each.tabIndex = -1;
    }
    button.setAttribute('aria-current', 'true');
    button.tabIndex = 0; // the thumbnails are one tab stop
  }
  reveal(button);
  if (focus) button.focus({ preventScroll: true });
}

/** Scroll the thumbnails only: scrollIntoView would move the whole page on a phone. */
function reveal(button) {
  const pane = film.getBoundingClientRect();
  const place = button.getBoundingClientRect();
  film.scrollTop += Math.min(0, place.top - pane.top - 12) + Math.max(0, place.bottom - pane.bottom + 12);
  film.scrollLeft += Math.min(0, place.left - pane.left - 12) + Math.max(0, place.right - pane.right + 12);
}

function setFollowing(on) {
  following = on;
  $('#follow')?.setAttribute('aria-pressed', String(on));
}

/** The active segment speaks of this image. */
export function followTo(index) {
  if (following && index !== undefined) show(Number(index));
}

function choose(index, options) {
  if (!film) return;
  setFollowing(false);
  show(Math.max(0, Math.min(film.children.length - 1, index)), options);
}

export const imageActions = {
  'previous-image': () => choose(shown - 1),
  'next-image': () => choose(shown + 1),
  'zoom-in': () => view?.in(),
  'zoom-out': () => view?.out(),
  'zoom-fit': () => view?.fit(),
  follow: () => {
    setFollowing(!following);
    remember({ follow: following });
    followTo($('.seg.active')?.dataset.image);
  },
  grid: () => {
    const off = $('#images').classList.toggle('nogrid');
    $('#grid').setAttribute('aria-pressed', String(!off));
    remember({ grid: !off });
    view.refit();
  },
};

export const refit = () => view?.refit();

export function watchImages() {
  if (!film) return;
  film.addEventListener('click', (event) => {
    const button = event.target.closest('.th');
    if (button) choose(Number(button.dataset.image));
  });
  film.addEventListener('keydown', (event) => {
    const columns = getComputedStyle(film).gridTemplateColumns.split(' ').length;
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns, Home: -1e6, End: 1e6 }[event.key];
    if (!step || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    event.stopPropagation();
    choose(shown + step, { focus: true });
  });
  stage.addEventListener('keydown', (event) => {
    // Arrow keys scroll the image here; they must not move through the segments.
    if (event.key.startsWith('Arrow')) event.stopPropagation();
  });
  addEventListener('click', (event) => {
    const chip = event.target.closest('[data-show-image]');
    if (chip) show(Number(chip.dataset.showImage));
  });
  show(0);
}
