/*
  Zoom and pan by a box that scrolls: touch, wheel, arrow keys and scrollbars are the browser's own,
  zooming only changes the width of the image.
*/
const MOST = 6;
const PAD = 12;
const STEP = 1.25;

export function viewer(box, image, onZoom) {
  let zoom = 1;

  const fitted = () => {
    const wide = box.clientWidth - 2 * PAD;
    const high = ((box.clientHeight - 2 * PAD) * Number(image.getAttribute('width'))) / Number(image.getAttribute('height'));
    return Math.max(80, Math.min(wide, high));
  };

  /** Zoom so that the point x, y of the box stays where it is. */
  function set(wanted, x = box.clientWidth / 2, y = box.clientHeight / 2) {
    const before = image.getBoundingClientRect();
    const frame = box.getBoundingClientRect();
    const u = (frame.left + x - before.left) / before.width;
    const v = (frame.top + y - before.top) / before.height;
    zoom = Math.min(MOST, Math.max(1, wanted));
    const width = Math.round(fitted() * zoom);
    image.style.width = `${width}px`;
    image.sizes = `${width}px`;
    const after = image.getBoundingClientRect();
    box.scrollLeft += after.left + u * after.width - (frame.left + x);
    box.scrollTop += after.top + v * after.height - (frame.top + y);
    onZoom(zoom);
  }

  const at = (event) => {
    const frame = box.getBoundingClientRect();
    return [event.clientX - frame.left, event.clientY - frame.top];
  };

  box.addEventListener('wheel', (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    const pace = event.deltaMode ? 0.05 : 0.0022;
    set(zoom * Math.exp(-event.deltaY * pace), ...at(event));
  }, { passive: false });
  box.addEventListener('dblclick', (event) => set(zoom > 1.01 ? 1 : 2.5, ...at(event)));

  drag(box);
  pinch(box, () => zoom, (wanted, x, y) => {
    const frame = box.getBoundingClientRect();
    set(wanted, x - frame.left, y - frame.top);
  });
  new ResizeObserver(() => set(zoom)).observe(box);

  return {
    in: () => set(zoom * STEP),
    out: () => set(zoom / STEP),
    fit: () => set(1),
    refit: () => requestAnimationFrame(() => set(zoom)),
  };
}

/** The mouse drags the image; a finger scrolls by itself. */
function drag(box) {
  let last = null;
  box.addEventListener('pointerdown', (event) => {
    if (event.pointerType !== 'mouse' || event.button) return;
    last = event;
    box.setPointerCapture(event.pointerId);
    box.classList.add('grabbing');
  });
  box.addEventListener('pointermove', (event) => {
    if (!last) return;
    box.scrollLeft -= event.clientX - last.clientX;
    box.scrollTop -= event.clientY - last.clientY;
    last = event;
  });
  const end = () => {
    last = null;
    box.classList.remove('grabbing');
  };
  box.addEventListener('pointerup', end);
  box.addEventListener('pointercancel', end);
}

/** Two fingers zoom around the point between them. */
function pinch(box, zoom, set) {
  let unit = 0;
  const span = ([a, b]) => Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
  box.addEventListener('touchstart', (event) => {
    if (event.touches.length !== 2) return;
    event.preventDefault();
    unit = span(event.touches) / zoom();
  }, { passive: false });
  box.addEventListener('touchmove', (event) => {
    if (event.touches.length !== 2 || !unit) return;
    event.preventDefault();
    const [a, b] = event.touches;
    set(span(event.touches) / unit, (a.clientX + b.clientX) / 2, (a.clientY + b.clientY) / 2);
  }, { passive: false });
  box.addEventListener('touchend', (event) => {
    if (event.touches.length < 2) unit = 0;
  });
}
