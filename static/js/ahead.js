/*
  Ahead of the answer: who accepts is at the next segment at once. So each press counts, in order,
  for the segment that is active when it comes, and none for a segment that nobody has seen active.
*/
import { active, activate, goOn } from './segments.js';

/** The segment that a request accepts; null for any other request. */
const accepted = ({ request, sourceElement }) =>
  request.action.endsWith('/acceptance') ? sourceElement.closest('.seg') : null;

export function watchAcceptances() {
  addEventListener('htmx:config:request', (event) => {
    const segment = !event.defaultPrevented && accepted(event.detail.ctx);
    if (!segment) return;
    segment.dataset.accepting = '';
    goOn(segment);
  });
  // The answer replaces the segment; what was refused is still there: back to the first such one.
  addEventListener('htmx:finally:request', ({ detail }) => {
    const segment = accepted(detail.ctx);
    if (!segment || detail.ctx.response?.status < 300) return;
    delete segment.dataset.accepting;
    const at = active();
    const typing = document.activeElement?.matches('input, textarea, select');
    if (!typing && at && segment.compareDocumentPosition(at) & Node.DOCUMENT_POSITION_FOLLOWING) activate(segment);
  });
}
